//! Where one worker blocks until it is called.

use crate::governor::policy::Wake;
use crate::sync::modelled::{Condvar, Mutex, wait};

/// A seat for one worker.
///
/// Each call is for one wait: the policy parks a worker once before it wakes it once. The call
/// may come first, as a worker is entered as parked before it sits down.
#[derive(Debug)]
pub(crate) struct Parker {
    call: Mutex<Option<Wake>>,
    called: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Parker { call: Mutex::new(None), called: Condvar::new() }
    }

    /// Blocks until called, and says what for.
    pub(crate) fn wait(&self) -> Wake {
        let mut call = self.call.lock();
        loop {
            match call.take() {
                Some(wake) => return wake,
                None => call = wait(&self.called, call),
            }
        }
    }

    /// Calls the worker.
    pub(crate) fn call(&self, wake: Wake) {
        let unheard = self.call.lock().replace(wake);
        debug_assert_eq!(unheard, None, "a worker was called twice for one wait");
        self.called.notify_one();
    }
}
