//! The one thread of a connection that waits for tokens.

use std::io;
use std::sync::{Arc, Condvar};
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
/// A wait that nobody wants any more ends within a second on Linux; elsewhere the next token that comes goes straight
/// back.
#[derive(Default)]
pub(super) struct Broker {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    called: Condvar,
}

#[derive(Default)]
struct State {
    running: bool,
    /// Where there is something to do. It lives until that is done: a token that found no room would be lost with it.
    called: Option<Arc<Ledger>>,
    dismissed: bool,
}

impl Broker {
    /// Makes the thread look at what is wanted. Fails if there is none and none can be started.
    pub(super) fn call(&self, ledger: &Arc<Ledger>) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        if !state.running {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("jobserver-broker".to_owned());
            thread.spawn(move || shared.run())?;
            state.running = true;
        }
        state.called = Some(Arc::clone(ledger));
        self.shared.called.notify_one();
        Ok(())
    }

    /// Ends the thread, unless it waits for a token: then after that token has gone back.
    pub(super) fn dismiss(&self) {
        self.shared.state.lock().dismissed = true;
        self.shared.called.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        while let Some(ledger) = self.wait_for_call() {
            loop {
                let outcome = match ledger.errand() {
                    Errand::Nothing => break,
                    Errand::Take => {
                        let wanted = || ledger.errand() == Errand::Take;
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

    /// Blocks until there is something to look at; `None` means the end.
    fn wait_for_call(&self) -> Option<Arc<Ledger>> {
        let mut state = self.state.lock();
        while state.called.is_none() && !state.dismissed {
            state = wait(&self.called, state);
        }
        state.called.take()
    }
}
