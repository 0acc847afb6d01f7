//! The process that something was made in, to be told from a child made by `fork`.

use std::io;
use std::sync::OnceLock;
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

/// What the whole program has one of, made by whoever asks for it first.
///
/// A plain `OnceLock` would keep a child waiting for ever that was forked while another thread made it. Such a child
/// makes its own; any other one has a copy of its parent's.
pub(crate) struct OncePerProgram<T>([OnceLock<T>; 8]);

impl<T> OncePerProgram<T> {
    pub(crate) const fn new() -> Self {
        OncePerProgram([const { OnceLock::new() }; 8])
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.0.iter().find_map(OnceLock::get)
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        self.get_or_init_in(Home::here(), make)
    }

    fn get_or_init_in(&self, home: Home, make: impl FnOnce() -> T) -> &T {
        self.get().unwrap_or_else(|| home.pick(&self.0).get_or_init(make))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_forked_while_its_parent_makes_something_makes_its_own() {
        let [parent, child] = [0, 1].map(Home);
        let value = OncePerProgram::new();
        let of_parent = value.get_or_init_in(parent, || {
            // Here it is forked, and the copy of this never ends.
            assert_eq!(value.get_or_init_in(child, || "child's"), &"child's");
            "parent's"
        });
        assert_eq!(of_parent, &"parent's");
    }

    #[test]
    fn a_child_has_what_its_parent_has_made() {
        let [parent, child] = [0, 1].map(Home);
        let value = OncePerProgram::new();
        assert_eq!(value.get(), None);
        value.get_or_init_in(parent, || "parent's");
        assert_eq!(value.get_or_init_in(child, || "child's"), &"parent's");
        assert_eq!(value.get(), Some(&"parent's"));
        assert_eq!(value.get_or_init(|| unreachable!("it is made")), &"parent's");
        let unknown: OncePerProgram<Option<usize>> = OncePerProgram::new();
        assert_eq!(unknown.get_or_init(|| None), &None);
        assert_eq!(unknown.get_or_init(|| unreachable!("it has been tried")), &None);
    }
}
