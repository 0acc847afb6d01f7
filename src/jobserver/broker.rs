//! The one thread of a connection that waits for tokens.

use std::io;
use std::sync::{Arc, Condvar, Weak};
use std::thread;

use super::ledger::Ledger;
use crate::sync::{Mutex, wait};

/// What a ledger has its broker do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    Nothing,
    /// Wait for a token.
    Take,
    /// Wait until there is room for tokens that could not be written back.
    Return,
}

/// Starts and stops the waiting thread.
///
/// A wait is not withdrawn when nobody wants a token any more: the next one that comes goes
/// straight back.
#[derive(Debug, Default)]
pub(super) struct Broker {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct State {
    running: bool,
    called: bool,
    dismissed: bool,
}

impl Broker {
    /// Makes the thread look at what is wanted. Fails if there is none and none can be started.
    pub(super) fn call(&self, ledger: &Arc<Ledger>) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        state.called = true;
        if state.running {
            self.shared.called.notify_one();
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let weak = Arc::downgrade(ledger);
        let thread = thread::Builder::new().name("jobserver-broker".to_owned());
        thread.spawn(move || shared.run(&weak))?;
        state.running = true;
        Ok(())
    }

    /// Ends the thread, unless it waits for a token: then after that token has gone back.
    pub(super) fn dismiss(&self) {
        self.shared.state.lock().dismissed = true;
        self.shared.called.notify_one();
    }
}

impl Shared {
    fn run(&self, ledger: &Weak<Ledger>) {
        while self.wait_for_call() {
            while let Some(ledger) = ledger.upgrade() {
                let outcome = match ledger.errand() {
                    Errand::Nothing => break,
                    Errand::Take => {
                        let wanted = || matches!(ledger.errand(), Errand::Take);
                        ledger.source().wait(&wanted).and_then(|token| ledger.arrived(token))
                    }
                    Errand::Return => ledger.source().wait_for_room().map(|()| ledger.room()),
                };
                if let Err(error) = outcome {
                    ledger.broken(error);
                }
            }
        }
    }

    /// Blocks until there is something to look at; `false` means the end.
    fn wait_for_call(&self) -> bool {
        let mut state = self.state.lock();
        while !state.called && !state.dismissed {
            state = wait(&self.called, state);
        }
        state.called = false;
        !state.dismissed
    }
}
