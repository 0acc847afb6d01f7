//! The locks that the hand-off between workers is built from, so that `loom` can stand in for
//! them (`RUSTFLAGS="--cfg loom"`) and run every interleaving.

#[cfg(all(loom, test))]
pub(crate) use self::model::{Condvar, Mutex, wait};
#[cfg(not(all(loom, test)))]
pub(crate) use self::real::{Condvar, Mutex, wait};

#[cfg(not(all(loom, test)))]
mod real {
    pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard};

    /// Releases the lock until `condvar` is notified, or sooner.
    pub(crate) fn wait<'a, T>(
        condvar: &Condvar,
        mut guard: MutexGuard<'a, T>,
    ) -> MutexGuard<'a, T> {
        condvar.wait(&mut guard);
        guard
    }
}

#[cfg(all(loom, test))]
mod model {
    pub(crate) use loom::sync::{Condvar, MutexGuard};

    /// `loom`'s mutex with the interface of `parking_lot`'s.
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
