//! Calls of a thread that has built a pool and is one of its workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use crate::governor::{Governor, Visit};

/// The thread that built a pool and became its first worker.
///
/// It also works on its own account, so that nothing but the call itself tells that it calls the pool.
#[derive(Debug)]
pub(crate) struct Adopted {
    thread: ThreadId,
    /// It is within a call: what it calls there is a worker's.
    calls: AtomicBool,
}

impl Adopted {
    /// The current thread.
    pub(crate) fn here() -> Self {
        Adopted { thread: thread::current().id(), calls: AtomicBool::new(false) }
    }

    /// Tells the governor of a call, if it is one of this thread, and no call within another one.
    pub(crate) fn announce(&self, governor: &Arc<Governor>) -> Option<Announced<'_>> {
        // Relaxed: what it says is looked at by that thread alone.
        let calls = !self.calls.load(Ordering::Relaxed) && self.thread == thread::current().id();
        calls.then(|| {
            let visit = governor.enter();
            self.calls.store(true, Ordering::Relaxed);
            Announced { calls: &self.calls, _visit: visit }
        })
    }
}

/// A call of such a thread that is under way.
pub(crate) struct Announced<'a> {
    calls: &'a AtomicBool,
    _visit: Visit,
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.calls.store(false, Ordering::Relaxed);
    }
}
