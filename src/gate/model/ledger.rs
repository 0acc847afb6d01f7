//! The jobserver connection of a model: the real book, and somebody else who wants a fund.

use std::sync::{Arc, OnceLock, Weak};

use super::pool::Pool;
use crate::jobserver::{AnyFund, Book, Demand, Market, Offer};
use crate::sync::modelled::{Condvar, Mutex, wait};

pub(super) type Fund = AnyFund<u8>;

/// The jobserver connection: the book of the real one, and the tokens that lie there.
pub(super) struct Ledger {
    /// Not `loom`'s: it is never waited for. Where somebody may come in between, `door` tells.
    book: crate::sync::Mutex<(Book<u8>, Vec<u8>)>,
    door: Mutex<()>,
    pub(super) tokens: u8,
    pub(super) pool: OnceLock<Weak<Pool>>,
    /// Somebody else of this process, with the second account.
    pub(super) rival: Option<Rival>,
}

pub(super) struct Rival {
    looking: Mutex<()>,
    called: Condvar,
}

impl Rival {
    pub(super) fn new() -> Self {
        Rival { looking: Mutex::new(()), called: Condvar::new() }
    }
}

/// The accounts: the pool opens its own first.
pub(super) const POOL: usize = 0;
const RIVAL: usize = 1;

impl Ledger {
    pub(super) fn new(tokens: u8, rival: Option<Rival>) -> Arc<Self> {
        let mut book = Book::new();
        assert_eq!((book.open(), book.open()), (POOL, RIVAL));
        let book = crate::sync::Mutex::new((book, (0..tokens).collect()));
        Arc::new(Ledger { book, door: Mutex::new(()), tokens, pool: OnceLock::new(), rival })
    }

    /// Lets the rival come in between. The pool calls it under its own lock.
    fn interrupt(&self) {
        if self.rival.is_some() {
            drop(self.door.lock());
        }
    }

    pub(super) fn try_take(&self) -> Option<Fund> {
        self.interrupt();
        let (book, lying) = &mut *self.book.lock();
        book.take_own().or_else(|| lying.pop().map(Fund::Token))
    }

    pub(super) fn demand(&self, id: usize, demand: Demand) {
        self.interrupt();
        {
            let (book, lying) = &mut *self.book.lock();
            book.demand(id, demand);
            if demand.funds == 0 {
                return;
            }
            if let Some(fund) = book.take_own().or_else(|| lying.pop().map(Fund::Token)) {
                return book.grant(id, fund);
            }
        }
        if demand.starving && id == RIVAL {
            self.pool().nudge();
        }
    }

    /// Called without any lock.
    pub(super) fn give(&self, fund: Fund) {
        drop(self.door.lock());
        let offer = {
            let (book, lying) = &mut *self.book.lock();
            match book.offer(fund) {
                Offer::Return(token) => {
                    lying.push(token);
                    Offer::Kept
                }
                kept => kept,
            }
        };
        match (offer, &self.rival) {
            (Offer::Granted(POOL), _) => self.pool().step(|_, _, _| ()),
            (Offer::Granted(_), Some(rival)) => {
                let _looking = rival.looking.lock();
                rival.called.notify_one();
            }
            (offer, _) => assert_eq!(offer, Offer::Kept),
        }
    }

    /// Waits for a fund, as `Jobserver::acquire` does for a token.
    pub(super) fn acquire(&self, rival: &Rival) -> Fund {
        self.demand(RIVAL, Demand { funds: 1, starving: true, tokens_only: false });
        let mut looking = rival.looking.lock();
        loop {
            if let Some(fund) = self.collect(RIVAL).pop() {
                return fund;
            }
            looking = wait(&rival.called, looking);
        }
    }

    pub(super) fn collect(&self, id: usize) -> Vec<Fund> {
        self.interrupt();
        self.book.lock().0.collect(id)
    }

    pub(super) fn market(&self) -> Market {
        let (rival, rival_starving) = self.book.lock().0.rivals(POOL, true);
        // As if other processes waited, so that idle tokens go back at once.
        Market { lying: 0, rival, rival_starving, token: false }
    }

    fn pool(&self) -> Arc<Pool> {
        self.pool.get().and_then(Weak::upgrade).expect("the pool outlives what is done to it")
    }

    /// Every token lies there again, and the own slot too.
    pub(super) fn check_whole(&self) {
        let (book, lying) = &mut *self.book.lock();
        lying.sort_unstable();
        assert_eq!(*lying, Vec::from_iter(0..self.tokens), "a token was lost or made");
        assert!(book.take_own().is_some(), "the own slot was lost");
    }
}
