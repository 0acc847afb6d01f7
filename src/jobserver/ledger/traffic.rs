//! Tokens on their way from and to the jobserver: what the broker does, what finds no room, what goes back at the end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{AnyFund, Ledger, State};
use crate::jobserver::broker::Errand;
use crate::jobserver::source::RawToken;

impl Ledger {
    /// Puts a token back that nobody here wants. One that finds no room is kept until there is some.
    pub(super) fn put(self: &Arc<Self>, state: &mut State, token: RawToken) {
        let Some(byte) = token.byte() else {
            state.out.remove(&token);
            // Its client writes it, and does not tell whether that went well.
            let _ = self.source.put(token);
            return;
        };
        state.out.keep(byte);
        if self.write_kept(state).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            && let Err(error) = self.broker.call(self)
        {
            state.fail("wait for room in", error);
        }
    }

    /// Writes the tokens that are kept, as many as possible.
    fn write_kept(&self, state: &mut State) -> io::Result<()> {
        while let Some(byte) = state.out.take_kept() {
            match self.source.put(RawToken::Byte(byte)) {
                Ok(()) => state.out.remove(&RawToken::Byte(byte)),
                Err(error) => {
                    state.out.keep(byte);
                    let again = io::Error::from(error.kind());
                    if error.kind() != io::ErrorKind::WouldBlock {
                        state.fail("write a token to", error);
                    }
                    return Err(again);
                }
            }
        }
        Ok(())
    }

    /// Gives everything back because the process ends; nothing is taken from now on.
    ///
    /// Gives up if the state stays locked for `patience`: if a signal's handler that exits has interrupted the
    /// thread that holds the lock, it stays locked for ever.
    pub(in crate::jobserver) fn close_at_exit(&self, patience: Duration) {
        if !self.home.is_here() {
            return;
        }
        let Some(mut state) = self.state.lock_within(patience) else { return };
        // First, or a token that is given back may be announced to our own broker. Once: whoever comes later may be
        // another thread than that which ends the process, and have read a token just as it is gone.
        let closed = std::mem::replace(&mut state.closed, true);
        let announced = if closed { None } else { self.source.leave() };
        for byte in announced.into_iter().chain(state.out.drain_bytes()) {
            // Nobody is left who could be told of a failure.
            let outcome = self.source.put_at_last(byte).or_else(|_| self.source.put_at_last(byte));
            if outcome.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                // Twice there was no room until patience ended.
                break;
            }
        }
        state.nudge_all();
    }

    /// Nothing is ever taken by way of a connection that nobody has used yet.
    pub(in crate::jobserver) fn close_unused(&self) {
        self.state.lock().closed = true;
    }

    /// What the broker is to do.
    pub(in crate::jobserver) fn errand(&self) -> Errand {
        let state = self.state.lock();
        if state.is_dry() {
            Errand::Nothing
        } else if state.out.kept() > 0 {
            Errand::Return
        } else if state.book.shortfall() > 0 {
            Errand::Take
        } else {
            Errand::Nothing
        }
    }

    /// There may be room for the tokens that found none.
    pub(in crate::jobserver) fn room(&self) {
        let mut state = self.state.lock();
        if !state.closed {
            // If it fails, the errand stays the same, or there is none any more.
            let _ = self.write_kept(&mut state);
        }
    }

    /// What the broker waited for will never come.
    pub(in crate::jobserver) fn broken(&self, error: io::Error) {
        let mut state = self.state.lock();
        if !state.closed {
            state.fail("wait for a token of", error);
        }
    }

    /// A token that the broker has waited for has come, or may lie there to be taken.
    pub(in crate::jobserver) fn arrived(
        self: &Arc<Self>,
        token: Option<RawToken>,
    ) -> io::Result<()> {
        let token = {
            let mut state = self.state.lock();
            let token = match token {
                None if state.closed => None,
                // Subtle: under the lock, or a token that is read but not yet noted when the process
                // ends would be lost.
                None => self.source.try_take()?,
                Some(token) if state.closed => {
                    // As above.
                    let _ = self.source.put(token);
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
}
