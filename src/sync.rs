//! The locks of this crate: std's, which no panic poisons here.
//!
//! Not `parking_lot`'s, whose threads queue in one table of the process. A child made by `fork` has a copy of it, in
//! which threads queue that the child does not have, at addresses that its own threads come to use: a pool of its own
//! hung in 15 of 1,086 such children. With std's locks it hung in one of 16,000, forked on a worker, in rayon's own
//! queue of injected jobs. There 15 of 900 children of stock rayon hung, too, while their parent's pool was being
//! called.

pub(crate) use std::sync::MutexGuard;
use std::sync::{Condvar, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

/// A lock without poisoning: a job that panics must not take the governor with it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Mutex(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`lock`](Self::lock), but gives up after `patience`.
    ///
    /// For locks that may never be released: at the end of the process, and in a forked child. std has no lock with a
    /// deadline, so this tries again and again.
    pub(crate) fn lock_within(&self, patience: Duration) -> Option<MutexGuard<'_, T>> {
        let until = Instant::now() + patience;
        loop {
            match self.0.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return None,
                Err(TryLockError::WouldBlock) => thread::yield_now(),
            }
        }
    }
}

/// Releases the lock until `condvar` is notified, or sooner.
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// The locks that the hand-off between workers is built from, so that `loom` can stand in for them
/// (`RUSTFLAGS="--cfg loom"`) and run every interleaving.
#[cfg(not(all(loom, test)))]
pub(crate) mod modelled {
    pub(crate) use std::sync::Condvar;

    pub(crate) use super::{Mutex, wait};
}

#[cfg(all(loom, test))]
pub(crate) mod modelled {
    pub(crate) use loom::sync::Condvar;
    use loom::sync::MutexGuard;

    /// `loom`'s mutex with the interface of ours.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Mutex(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no model panics while it holds a lock")
        }
    }

    pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).expect("no model panics while it holds a lock")
    }
}
