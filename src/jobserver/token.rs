//! Tokens for threads outside any pool, and waiting for them.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use crossbeam_utils::sync::{Parker, Unparker};

use super::{Demand, Fund, Holder, Ledger};
use crate::sync::Mutex;

thread_local! {
    /// What the tokens of this thread consist of, for when it blocks.
    static HELD: RefCell<Vec<Weak<Held>>> = const { RefCell::new(Vec::new()) };
}

/// A token that a thread outside any pool holds; dropping it gives it back.
///
/// It stays with the thread that acquired it. A thread that has several gives up the one it acquired
/// first while it is in [`blocking`](crate::blocking()): it runs on that one, and the others pay for
/// something else, such as its child processes.
///
/// ```
/// use rayon_jobserver::Jobserver;
///
/// let jobserver = Jobserver::new(2);
/// let for_a_child = jobserver.acquire();
/// assert_eq!(jobserver.held(), 1);
/// drop(for_a_child);
/// assert_eq!(jobserver.held(), 0);
/// ```
///
/// It cannot be sent to another thread:
///
/// ```compile_fail,E0277
/// let token = rayon_jobserver::Jobserver::new(2).acquire();
/// std::thread::spawn(move || drop(token));
/// ```
#[must_use = "a token that is dropped at once pays for nothing"]
pub struct Token {
    #[expect(dead_code, reason = "held for its Drop")]
    held: Arc<Held>,
    /// Neither sent nor shared: `blocking` must know whose it is.
    here: PhantomData<*const ()>,
}

struct Held {
    /// Empty while the thread blocks.
    fund: Mutex<Option<Fund>>,
    ledger: Arc<Ledger>,
}

impl Token {
    pub(super) fn new(fund: Fund, ledger: &Arc<Ledger>) -> Self {
        let held = Arc::new(Held { fund: Mutex::new(Some(fund)), ledger: Arc::clone(ledger) });
        // Refused while the thread ends, when it blocks no more.
        let _ = HELD.try_with(|all| {
            let mut all = all.borrow_mut();
            all.retain(|other| other.strong_count() > 0);
            all.push(Arc::downgrade(&held));
        });
        Token { held, here: PhantomData }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.fund.get_mut().take().into_iter().for_each(|fund| self.ledger.give(fund));
    }
}

/// The token that a thread runs on, given up until this is dropped.
///
/// One and no more. Threads that gave up several, and then waited for one after another, could each hold what another
/// one waits for. If each gives up only one, the last to do so leaves it to the others.
pub(crate) struct Resigned(Option<Arc<Held>>);

impl Resigned {
    /// Gives up what the current thread acquired first, if it still holds that.
    pub(crate) fn here() -> Self {
        // In a forked child they are the parent's.
        let held = |held: &Weak<Held>| held.upgrade().filter(|held| held.ledger.home().is_here());
        // Refused while the thread ends: what it still holds goes back at once.
        let first = HELD.try_with(|all| all.borrow().iter().find_map(held)).ok().flatten();
        if let Some(held) = &first {
            let fund = held.fund.lock().take();
            fund.into_iter().for_each(|fund| held.ledger.give(fund));
        }
        Resigned(first)
    }

    /// Nothing is given up.
    pub(crate) fn none() -> Self {
        Resigned(None)
    }
}

impl Drop for Resigned {
    fn drop(&mut self) {
        let here = |held: &Arc<Held>| held.ledger.home().is_here();
        // A token that was dropped meanwhile is not missed.
        let missed = |held: &Arc<Held>| Arc::strong_count(held) > 1;
        if let Some(held) = self.0.take().filter(|held| here(held) && missed(held)) {
            let fund = held.ledger.try_take_token().unwrap_or_else(|| await_token(&held.ledger));
            *held.fund.lock() = Some(fund);
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// Blocks until there is a token for a thread outside any pool; once none will ever come, the own slot will do.
///
/// The thread counts as starving: a pool that holds a token without need may have a job that waits for this thread.
pub(super) fn await_token(ledger: &Arc<Ledger>) -> Fund {
    Waiting::begin(ledger, Demand { funds: 1, starving: true, tokens_only: true }).end()
}

/// A thread that waits for one fund.
pub(crate) struct Waiting {
    ledger: Arc<Ledger>,
    account: usize,
    parker: Parker,
}

impl Waiting {
    pub(crate) fn begin(ledger: &Arc<Ledger>, wanted: Demand) -> Self {
        let parker = Parker::new();
        let holder: Arc<dyn Holder> = Arc::new(Waiter { unparker: parker.unparker().clone() });
        let account = ledger.open(&holder);
        ledger.demand(account, wanted);
        Waiting { ledger: Arc::clone(ledger), account, parker }
    }

    /// The account by which others may [insist](Ledger::insist) on what it wants.
    pub(crate) fn account(&self) -> usize {
        self.account
    }

    /// Blocks until the fund has come. Once no token will ever come, whoever holds the own slot without need
    /// makes way.
    pub(crate) fn end(&self) -> Fund {
        let mut dry = false;
        loop {
            if let Some(fund) = self.ledger.collect(self.account).pop() {
                return fund;
            }
            if !dry && self.ledger.is_dry() {
                dry = true;
                self.ledger.insist(self.account);
            } else {
                self.parker.park();
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.ledger.close(self.account);
    }
}

/// Wakes a thread that waits for a fund.
struct Waiter {
    unparker: Unparker,
}

impl Holder for Waiter {
    fn granted(&self) {
        self.unparker.unpark();
    }

    fn nudge(&self) {
        self.unparker.unpark();
    }
}
