//! The process that something was made in, to be told from a child made by `fork`.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::JobserverError;

/// How many forks lie between the start of the program and this process.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// The process that a connection or a pool belongs to.
///
/// A forked child has a copy of its parent's memory, but none of the other threads: the
/// tokens are not its own, and a lock that another thread held is held for ever. So whatever has
/// tokens or locks asks this first, which only reads a number that hardly ever changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home(u32);

impl Home {
    /// This process.
    pub(crate) fn here() -> Self {
        count_forks();
        Home(FORKS.load(Ordering::Relaxed))
    }

    /// The one of `things` that is this process's: none of its forebears has the same, unless there are more of them
    /// than things.
    pub(super) fn pick<T>(self, things: &[T]) -> &T {
        &things[self.0 as usize % things.len()]
    }

    /// Whether this is still that process.
    #[inline]
    pub(crate) fn is_here(self) -> bool {
        // Relaxed: it changes only before the child's one thread returns from `fork`.
        self.0 == FORKS.load(Ordering::Relaxed)
    }

    /// Fails in a forked child.
    pub(crate) fn check(self, operation: &'static str) -> Result<(), JobserverError> {
        let error = || JobserverError::io(operation, io::Error::other(ASTRAY));
        if self.is_here() { Ok(()) } else { Err(error()) }
    }

    /// Panics in a forked child, where the call could only hang.
    #[inline]
    #[track_caller]
    pub(crate) fn insist(self) {
        if !self.is_here() {
            astray();
        }
    }
}

/// Does what must be done once, and may be done twice.
///
/// Not a `Once`, which would wait for ever in a child forked while another thread was in it.
pub(super) fn unless_done(done: &AtomicBool, act: impl FnOnce()) {
    if !done.load(Ordering::Acquire) {
        act();
        done.store(true, Ordering::Release);
    }
}

/// What a call in a forked child fails with.
const ASTRAY: &str = "after `fork` without `exec`, the child cannot use its parent's \
     pools and jobserver: it has none of their threads and owns none of their tokens";

#[cold]
#[track_caller]
fn astray() -> ! {
    panic!("{ASTRAY}");
}

/// Arranges for each fork to be counted, in the child.
#[cfg(unix)]
fn count_forks() {
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    unless_done(&REGISTERED, || {
        // SAFETY: the function is `extern "C"`, unwinds nowhere, does nothing that a signal handler
        // might not, and lives as long as the program.
        let refused = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        // If that fails for want of memory, children go unnoticed until they exit.
        debug_assert_eq!(refused, 0);
    });
}

/// Elsewhere processes do not fork.
#[cfg(not(unix))]
fn count_forks() {}
