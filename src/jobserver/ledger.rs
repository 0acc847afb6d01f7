//! What this process holds of one jobserver: its own slot and its tokens.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::book::{Book, Demand, Fund as AnyFund, Offer};
use super::broker::Broker;
use super::source::{RawToken, Source};
use super::{JobserverError, Market};

pub(crate) type Fund = AnyFund<RawToken>;

/// Somebody who holds an account.
pub(crate) trait Holder: Send + Sync {
    /// Something lies in the account's inbox. Called without any lock held.
    fn granted(&self);

    /// Another account starves. Called under a lock: must not call back nor block.
    fn nudge(&self);
}

/// One per jobserver connection, shared by all pools and threads that use it.
pub(crate) struct Ledger {
    state: Mutex<State>,
    source: Source,
    broker: Broker,
    losses: AtomicU64,
}

struct State {
    book: Book<RawToken>,
    holders: Vec<Option<Arc<dyn Holder>>>,
    /// Every token that has been read and not written back.
    out: Outstanding,
    /// The process is about to end: what is out has been given back already.
    closed: bool,
}

impl Ledger {
    pub(crate) fn new(source: Source) -> Arc<Self> {
        Arc::new(Ledger {
            state: Mutex::new(State {
                book: Book::new(),
                holders: Vec::new(),
                out: Outstanding::default(),
                closed: false,
            }),
            source,
            broker: Broker::default(),
            losses: AtomicU64::new(0),
        })
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Tokens this process holds.
    pub(crate) fn held(&self) -> usize {
        self.state.lock().out.len()
    }

    /// Tokens that could not be written back.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Relaxed)
    }

    /// Opens an account for `holder`.
    pub(crate) fn open(self: &Arc<Self>, holder: &Arc<dyn Holder>) -> usize {
        let mut state = self.state.lock();
        let id = state.book.open();
        if state.holders.len() <= id {
            state.holders.resize_with(id + 1, || None);
        }
        state.holders[id] = Some(Arc::clone(holder));
        id
    }

    /// Closes an account; what was granted to it and not collected goes on to the others.
    pub(crate) fn close(self: &Arc<Self>, id: usize) {
        let inbox = {
            let mut state = self.state.lock();
            state.holders[id] = None;
            state.book.close(id)
        };
        inbox.into_iter().for_each(|fund| self.give(fund));
    }

    /// A fund, if one is to be had without waiting.
    pub(crate) fn try_take(&self) -> Option<Fund> {
        let mut state = self.state.lock();
        if let Some(own) = state.book.take_own() {
            return Some(own);
        }
        self.try_token(&mut state).map(AnyFund::Token)
    }

    /// The own slot, if nobody uses it.
    pub(crate) fn take_own(&self) -> Option<Fund> {
        self.state.lock().book.take_own()
    }

    /// A token, if one is to be had without waiting; never the own slot.
    pub(crate) fn try_take_token(&self) -> Option<Fund> {
        self.try_token(&mut self.state.lock()).map(AnyFund::Token)
    }

    fn try_token(&self, state: &mut State) -> Option<RawToken> {
        if state.closed {
            return None;
        }
        let token = self.source.try_take().ok().flatten()?;
        state.out.add(&token);
        Some(token)
    }

    /// Replaces what an account waits for. Says whether something was granted at once.
    pub(crate) fn demand(self: &Arc<Self>, id: usize, demand: Demand) -> bool {
        let mut state = self.state.lock();
        state.book.demand(id, demand);
        if demand.funds == 0 {
            return false;
        }
        // What came back since the account's last try. It lies there only while nobody else
        // wants it: `offer` would have passed it on.
        let own = if demand.tokens_only { None } else { state.book.take_own() };
        let found = match own {
            None if self.source.is_local() => self.try_token(&mut state).map(AnyFund::Token),
            own => own,
        };
        if let Some(fund) = found {
            state.book.grant(id, fund);
            return true;
        }
        if demand.starving {
            let others = state.holders.iter().enumerate().filter(|&(other, _)| other != id);
            others.filter_map(|(_, holder)| holder.as_ref()).for_each(|holder| holder.nudge());
        }
        drop(state);
        if !self.source.is_local() {
            self.broker.call(self);
        }
        false
    }

    /// Takes what was granted to an account.
    pub(crate) fn collect(&self, id: usize) -> Vec<Fund> {
        self.state.lock().book.collect(id)
    }

    /// Gives a fund back: to whoever in this process needs it most, else to the jobserver.
    pub(crate) fn give(&self, fund: Fund) {
        let holder = {
            let mut state = self.state.lock();
            match state.book.offer(fund) {
                Offer::Granted(id) => state.holders[id].clone(),
                Offer::Return(token) => {
                    self.put(&mut state, token);
                    None
                }
                Offer::Kept => None,
            }
        };
        if let Some(holder) = holder {
            holder.granted();
        }
    }

    fn put(&self, state: &mut State, token: RawToken) {
        if state.closed && token.byte().is_some() {
            return;
        }
        state.out.remove(&token);
        self.write(token);
    }

    fn write(&self, token: RawToken) {
        if self.source.put(token).is_err() {
            self.losses.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives everything back because the process ends; nothing is taken from now on.
    pub(super) fn close_at_exit(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        // First, or what is given back may be announced to our own broker.
        self.source.leave();
        for byte in state.out.drain_bytes() {
            self.write(RawToken::Byte(byte));
        }
    }

    /// How many tokens are waited for.
    pub(super) fn shortfall(&self) -> usize {
        let state = self.state.lock();
        if state.closed { 0 } else { state.book.shortfall() }
    }

    /// A token that the broker has waited for has come, or may lie there to be taken.
    pub(super) fn arrived(&self, token: Option<RawToken>) -> io::Result<()> {
        let token = {
            let mut state = self.state.lock();
            let token = match token {
                None if state.closed => None,
                // Subtle: under the lock, else what is read and not yet noted when the process
                // ends would be lost.
                None => self.source.try_take()?,
                Some(token) if state.closed => {
                    self.write(token);
                    None
                }
                read => read,
            };
            token.inspect(|token| state.out.add(token))
        };
        if let Some(token) = token {
            self.give(AnyFund::Token(token));
        }
        Ok(())
    }

    /// What others want of the tokens, as seen from an account.
    pub(crate) fn market(&self, id: usize) -> Market {
        // Of a budget that nobody shares, the ledger knows all who want a token.
        let exclusive = self.source.is_local();
        let lying = if exclusive { usize::MAX } else { self.source.lying().unwrap_or(0) };
        Market { lying, ..self.rivals(id) }
    }

    /// The same without a look at the jobserver: nothing is said to lie there.
    pub(crate) fn rivals(&self, id: usize) -> Market {
        let (rival, rival_starving) = self.state.lock().book.rivals(id);
        Market { lying: 0, rival, rival_starving }
    }

    /// Tokens that lie in the jobserver for anybody to take.
    pub(crate) fn lying(&self) -> Result<usize, JobserverError> {
        self.source.lying().map_err(|source| JobserverError::io("count the free tokens of", source))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.broker.dismiss();
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held();
        f.debug_struct("Ledger").field("source", &self.source).field("held", &held).finish()
    }
}

/// The tokens that are out, by their byte, so that they can be given back without their holders.
#[derive(Debug)]
struct Outstanding {
    by_byte: [usize; 256],
    /// Tokens of connections that keep their bytes to themselves.
    opaque: usize,
}

impl Default for Outstanding {
    fn default() -> Self {
        Outstanding { by_byte: [0; 256], opaque: 0 }
    }
}

impl Outstanding {
    fn slot(&mut self, token: &RawToken) -> &mut usize {
        match token.byte() {
            Some(byte) => &mut self.by_byte[usize::from(byte)],
            None => &mut self.opaque,
        }
    }

    fn add(&mut self, token: &RawToken) {
        *self.slot(token) += 1;
    }

    fn remove(&mut self, token: &RawToken) {
        *self.slot(token) -= 1;
    }

    fn len(&self) -> usize {
        self.by_byte.iter().sum::<usize>() + self.opaque
    }

    fn drain_bytes(&mut self) -> Vec<u8> {
        let counts = std::mem::replace(&mut self.by_byte, [0; 256]);
        let bytes = (0..=u8::MAX).zip(counts);
        bytes.flat_map(|(byte, count)| std::iter::repeat_n(byte, count)).collect()
    }
}
