//! Waiting for what other jobs do, without a token.

use std::sync::Condvar;

use crate::blocking;
use crate::sync::{Mutex, wait};

/// Something that jobs share and wait for, such as the table of a compiler's memoised queries.
///
/// A worker that waits gives its token up, as in [`blocking`](crate::blocking()). While it then waits for a new
/// token it does not hold the lock, so lock and token cannot block each other.
///
/// ```
/// use rayon_jobserver::{Jobserver, Monitor, ThreadPoolBuilder};
///
/// let pool = ThreadPoolBuilder::new().num_threads(2).jobserver(Jobserver::new(0)).build()?;
/// let answer = Monitor::new(None);
/// let (asked, ()) = pool.join(
///     || answer.wait_until(|answer| *answer),
///     || answer.update(|answer| *answer = Some(42)),
/// );
/// assert_eq!(asked, 42);
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
#[derive(Debug, Default)]
pub struct Monitor<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    /// A monitor of `state`.
    pub const fn new(state: T) -> Self {
        Monitor { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Changes the state, or looks at it, and has all who wait look again.
    ///
    /// # Panics
    ///
    /// If `change` panics, with the same payload. What it has changed by then stays changed.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        // Also when it panics. After the lock is free, or they would wait for it at once.
        let _announced = Announced(&self.changed);
        change(&mut self.state.lock())
    }

    /// Waits until `look` returns `Some`, and returns what is in it.
    ///
    /// `look` is called under the lock, at once and after each [`update`](Monitor::update). It must
    /// not wait itself. If it changes the state, nobody is told: others who wait for that look again
    /// at the next `update`.
    ///
    /// # Panics
    ///
    /// If `look` panics, with the same payload.
    pub fn wait_until<R>(&self, mut look: impl FnMut(&mut T) -> Option<R>) -> R {
        if let Some(found) = look(&mut self.state.lock()) {
            return found;
        }
        blocking(|| {
            let mut state = self.state.lock();
            loop {
                match look(&mut state) {
                    Some(found) => return found,
                    None => state = wait(&self.changed, state),
                }
            }
        })
    }
}

/// Has all who wait look again when this is dropped.
struct Announced<'a>(&'a Condvar);

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.0.notify_all();
    }
}
