//! Pools whose threads borrow from the one that builds them.

use std::thread;

use crossbeam_utils::sync::WaitGroup;
use rayon_core::ThreadBuilder;

use crate::{BuildError, ThreadPool, ThreadPoolBuilder, blocking};

impl ThreadPoolBuilder {
    /// Builds a pool whose threads may borrow, for the duration of `with_pool`.
    ///
    /// `wrapper` is called on each thread and must call [`ThreadBuilder::run`].
    ///
    /// # Errors
    ///
    /// As [`build`](ThreadPoolBuilder::build).
    ///
    /// ```
    /// use rayon_jobserver::ThreadPoolBuilder;
    ///
    /// let greeting = String::from("hello");
    /// let length = ThreadPoolBuilder::new()
    ///     .build_scoped(|thread| thread.run(), |pool| pool.install(|| greeting.len()))?;
    /// assert_eq!(length, 5);
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    pub fn build_scoped<W, F, R>(self, wrapper: W, with_pool: F) -> Result<R, BuildError>
    where
        W: Fn(ThreadBuilder) + Sync,
        F: FnOnce(&ThreadPool) -> R,
    {
        thread::scope(|scope| {
            let wrapper = &wrapper;
            // Dropped after the pool, and before the scope's end.
            let ended = Ended(WaitGroup::new());
            let running = ended.0.clone();
            let builder = self.spawn_handler(move |worker| {
                let mut builder = thread::Builder::new();
                if let Some(name) = worker.name() {
                    builder = builder.name(name.to_owned());
                }
                if let Some(size) = worker.stack_size() {
                    builder = builder.stack_size(size);
                }
                let runs = running.clone();
                let run = move || {
                    let _runs = runs;
                    wrapper(worker);
                };
                builder.spawn_scoped(scope, run).map(drop)
            });
            builder.build().map(|pool| with_pool(&pool))
        })
    }
}

/// Waits when dropped until the threads of a scoped pool have ended. They may need what this one runs on.
struct Ended(WaitGroup);

impl Drop for Ended {
    fn drop(&mut self) {
        let threads = std::mem::take(&mut self.0);
        blocking(|| threads.wait());
    }
}
