//! What this process holds of one jobserver: its own slot and its tokens.

mod traffic;

use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};

use super::book::{Book, Demand, Fund as AnyFund, Offer};
use super::broker::Broker;
use super::home::Home;
use super::outstanding::Outstanding;
use super::source::{RawToken, Source};
use super::{JobserverError, Market};
use crate::sync::{Mutex, MutexGuard};

pub(crate) type Fund = AnyFund<RawToken>;

/// Somebody who holds an account.
pub(crate) trait Holder: Send + Sync {
    /// Something lies in the account's inbox. Called without any lock held.
    fn granted(&self);

    /// Another account starves, or the connection has failed or was closed. Called under a lock: must not call
    /// back nor block.
    fn nudge(&self);
}

/// One per jobserver connection, shared by all pools and threads that use it.
pub(crate) struct Ledger {
    state: Mutex<State>,
    source: Source,
    broker: Broker,
    /// In a forked child nothing here is touched, the lock least of all.
    home: Home,
    /// Called without any lock held when the own slot has come back and nobody waits for it.
    own_slot_free: OnceLock<fn()>,
}

struct State {
    book: Book<RawToken>,
    holders: Vec<Option<Arc<dyn Holder>>>,
    out: Outstanding,
    /// The first read or write that failed for good. Nothing is taken from then on, and what
    /// comes back is written again and again, at every chance.
    failure: Option<Arc<JobserverError>>,
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
                failure: None,
                closed: false,
            }),
            source,
            broker: Broker::default(),
            home: Home::here(),
            own_slot_free: OnceLock::new(),
        })
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// The process that the tokens belong to.
    pub(crate) fn home(&self) -> Home {
        self.home
    }

    /// Has `call` called whenever the own slot falls idle, for somebody who could run on it instead of a token.
    pub(crate) fn on_own_slot_free(&self, call: fn()) {
        // Only the session calls this, and there is one.
        let _ = self.own_slot_free.set(call);
    }

    /// Tokens this process holds.
    pub(crate) fn held(&self) -> usize {
        if self.home.is_here() { self.state.lock().out.len() } else { 0 }
    }

    /// Tokens this process has ever read.
    pub(crate) fn taken(&self) -> u64 {
        if self.home.is_here() { self.state.lock().out.ever_read() } else { 0 }
    }

    /// Tokens that could not be written back, other than for want of room.
    pub(crate) fn losses(&self) -> usize {
        if !self.home.is_here() {
            return 0;
        }
        let state = self.state.lock();
        if state.failure.is_some() { state.out.kept() } else { 0 }
    }

    /// Why nothing is taken any more.
    pub(crate) fn failure(&self) -> Option<Arc<JobserverError>> {
        if !self.home.is_here() {
            return None;
        }
        self.state.lock().failure.clone()
    }

    /// Whether no token will ever come.
    pub(crate) fn is_dry(&self) -> bool {
        self.state.lock().is_dry()
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
        if !self.home.is_here() {
            return;
        }
        let inbox = {
            let mut state = self.state.lock();
            state.holders[id] = None;
            state.book.close(id)
        };
        inbox.into_iter().for_each(|fund| self.give(fund));
    }

    /// A fund, if one is to be had without waiting.
    pub(crate) fn try_take(&self) -> Option<Fund> {
        self.try_fund(&mut self.state.lock())
    }

    /// The same for the holder of an account.
    pub(crate) fn try_take_for(&self, id: usize) -> Option<Fund> {
        let mut state = self.state.lock();
        let fund = self.try_fund(&mut state)?;
        state.book.took(id);
        Some(fund)
    }

    /// The holder of an account has no fund any more.
    pub(crate) fn gave_all(&self, id: usize) {
        self.state.lock().book.gave_all(id);
    }

    fn try_fund(&self, state: &mut State) -> Option<Fund> {
        let own = state.book.take_own();
        own.or_else(|| self.try_token(state).map(AnyFund::Token))
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
        if state.is_dry() {
            return None;
        }
        if let Some(kept) = state.out.take_kept() {
            return Some(RawToken::Byte(kept));
        }
        match self.source.try_take() {
            Ok(token) => {
                let token = token?;
                state.out.add(&token);
                Some(token)
            }
            Err(error) => {
                state.fail("read a token from", error);
                None
            }
        }
    }

    /// Replaces what an account waits for. Says whether something was granted at once.
    pub(crate) fn demand(self: &Arc<Self>, id: usize, demand: Demand) -> bool {
        self.demand_in(self.state.lock(), id, demand)
    }

    /// Notes that the holder of an account has no other fund, and that any will do. Nothing happens if all that it
    /// wants has been granted meanwhile.
    pub(crate) fn insist(self: &Arc<Self>, id: usize) {
        let state = self.state.lock();
        let Some(demand) = state.book.wanted(id) else { return };
        let holder = state.holders[id].clone();
        if self.demand_in(state, id, Demand { starving: true, tokens_only: false, ..demand }) {
            holder.into_iter().for_each(|holder| holder.granted());
        }
    }

    fn demand_in(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        id: usize,
        demand: Demand,
    ) -> bool {
        state.book.demand(id, demand);
        let mut granted = 0;
        while granted < demand.funds
            && let Some(fund) = self.left_over(&mut state, demand.tokens_only)
        {
            state.book.grant(id, fund);
            granted += 1;
        }
        if granted == demand.funds {
            return granted > 0;
        }
        if demand.starving && granted == 0 {
            // Only those who could give something up, since there may be a hundred pools.
            let holds = |&(other, _): &(usize, _)| other != id && state.book.holds(other);
            let others = state.holders.iter().enumerate().filter(holds);
            others.filter_map(|(_, holder)| holder.as_ref()).for_each(|holder| holder.nudge());
        }
        // If no token will ever come, the own slot still may, from those who were nudged.
        let waits = !state.is_dry() && !self.source.is_local();
        drop(state);
        if waits && let Err(error) = self.broker.call(self) {
            self.broken(error);
        }
        granted > 0
    }

    /// A fund that came back since an account's last try. If one lies there, nobody else wants it, or the book
    /// would have passed it on.
    fn left_over(&self, state: &mut State, tokens_only: bool) -> Option<Fund> {
        let own = if tokens_only { None } else { state.book.take_own() };
        own.or_else(|| {
            // Otherwise the broker waits for it, behind those who came before.
            let here = self.source.is_local() || state.out.kept() > 0;
            here.then(|| self.try_token(state)).flatten().map(AnyFund::Token)
        })
    }

    /// Takes what was granted to an account.
    pub(crate) fn collect(&self, id: usize) -> Vec<Fund> {
        self.state.lock().book.collect(id)
    }

    /// Gives a fund back: to whoever in this process needs it most, else to the jobserver.
    pub(crate) fn give(self: &Arc<Self>, fund: Fund) {
        if !self.home.is_here() {
            // The parent gives it back. Not dropped, since some tokens then give themselves back.
            return std::mem::forget(fund);
        }
        let holder = {
            let mut state = self.state.lock();
            if state.closed && matches!(&fund, AnyFund::Token(token) if token.byte().is_some()) {
                // It has been written back already, and pays for nothing more.
                return;
            }
            match state.book.offer(fund) {
                Offer::Granted(id) => state.holders[id].clone(),
                Offer::Return(token) => {
                    self.put(&mut state, token);
                    None
                }
                Offer::Kept => {
                    drop(state);
                    return self.own_slot_free.get().into_iter().for_each(|call| call());
                }
            }
        };
        if let Some(holder) = holder {
            holder.granted();
        }
    }

    /// What others want, as seen from an account whose holder has `tokens` or not.
    pub(crate) fn market(&self, id: usize, tokens: bool) -> Market {
        // If nobody shares the budget, the ledger knows all who want a token.
        let exclusive = self.source.is_local();
        let lying = if exclusive { usize::MAX } else { self.source.lying().unwrap_or(0) };
        Market { lying, ..self.rivals(id, tokens) }
    }

    /// The same without looking at the jobserver: as if nothing lay there.
    pub(crate) fn rivals(&self, id: usize, tokens: bool) -> Market {
        let state = self.state.lock();
        let (rival, starving) = state.book.rivals(id, tokens);
        // Once the tokens went back because the process was to end, those still at hand pay for nothing more.
        let spent = state.closed && tokens;
        Market { lying: 0, rival, rival_starving: starving || spent, token: tokens }
    }

    /// Tokens that lie in the jobserver for anybody to take.
    pub(crate) fn lying(&self) -> Result<usize, JobserverError> {
        self.source.lying().map_err(|source| JobserverError::io("count the free tokens of", source))
    }
}

impl State {
    fn is_dry(&self) -> bool {
        self.closed || self.failure.is_some()
    }

    /// Only the first failure is kept: the others follow from it.
    fn fail(&mut self, operation: &'static str, error: io::Error) {
        if self.failure.is_none() {
            self.failure = Some(Arc::new(JobserverError::io(operation, error)));
            self.nudge_all();
        }
    }

    /// Nudges all who may wait for a token: they may have to make do with the own slot.
    fn nudge_all(&self) {
        self.holders.iter().flatten().for_each(|holder| holder.nudge());
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        if self.home.is_here() {
            self.broker.dismiss();
        } else {
            // As what is given back: what lies in the inboxes is the parent's.
            std::mem::forget(std::mem::replace(&mut self.state.get_mut().book, Book::new()));
        }
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held();
        f.debug_struct("Ledger").field("source", &self.source).field("held", &held).finish()
    }
}
