//! A pool of one's own: every entry tells the governor, and rayon does the rest.

use std::fmt;
use std::sync::Arc;

use rayon_core::{BroadcastContext, Scope, ScopeFifo, Yield};

use crate::adopted::{Adopted, Announced};
use crate::governor::{Governor, Visit};
use crate::session::Loan;
use crate::{Jobserver, Stats};

/// A rayon pool that runs only as wide as its tokens.
///
/// It has every method of [`rayon_core::ThreadPool`], with the same meaning. The
/// [crate documentation](crate#what-differs-from-rayon) lists what differs.
///
/// In a child made by `fork` there are no workers, and all methods that would need one panic.
///
/// ```
/// use rayon::prelude::*;
/// use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
///
/// let pool = ThreadPoolBuilder::new().num_threads(8).jobserver(Jobserver::new(3)).build()?;
/// let sum = pool.install(|| (1..=1_000_u64).into_par_iter().sum::<u64>());
/// assert_eq!(sum, 500_500);
/// assert!(pool.stats().peak <= 4, "three tokens and the own slot");
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
pub struct ThreadPool {
    /// The first worker, if that is the thread that built the pool.
    builder: Option<Adopted>,
    pool: Arc<rayon_core::ThreadPool>,
    governor: Arc<Governor>,
    jobserver: Jobserver,
}

impl ThreadPool {
    pub(crate) fn assemble(
        builder: Option<Adopted>,
        pool: Arc<rayon_core::ThreadPool>,
        governor: Arc<Governor>,
        jobserver: Jobserver,
    ) -> Self {
        ThreadPool { builder, pool, governor, jobserver }
    }

    /// Tells the governor of a call, unless the caller is a worker of this pool already: what a
    /// worker adds to its own pool needs no announcement.
    ///
    /// Panics in a forked child, workers or not.
    #[track_caller]
    fn enter(&self) -> Option<Visit> {
        self.governor.home().insist();
        let outside = self.pool.current_thread_index().is_none();
        outside.then(|| self.governor.enter())
    }

    /// The same for a caller that waits from now on, and needs nothing to run on meanwhile but what it has as a
    /// worker.
    #[track_caller]
    fn enter_and_wait(&self) -> (Option<Visit>, Option<Announced<'_>>, Loan) {
        // Lent before the governor looks for something to pay for the call, and had back after
        // the call is over.
        let loan = Loan::to(self.jobserver.ledger());
        let visit = self.enter();
        (visit, self.announce(), loan)
    }

    /// Tells the governor of a call of the thread that built the pool.
    fn announce(&self) -> Option<Announced<'_>> {
        self.builder.as_ref()?.announce(&self.governor)
    }

    /// What the pool has done so far.
    ///
    /// # Panics
    ///
    /// In a child made by `fork`.
    #[track_caller]
    pub fn stats(&self) -> Stats {
        self.governor.stats()
    }

    /// The jobserver whose tokens the pool runs on.
    pub fn jobserver(&self) -> &Jobserver {
        &self.jobserver
    }

    /// Runs `op` in the pool and returns its result.
    ///
    /// # Panics
    ///
    /// If `op` panics, with the same payload; and in a child made by `fork`.
    #[track_caller]
    pub fn install<OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce() -> R + Send,
        R: Send,
    {
        let _entry = self.enter_and_wait();
        self.pool.install(op)
    }

    /// Runs two closures in the pool, in parallel if a worker is free.
    ///
    /// ```
    /// let pool = rayon_jobserver::ThreadPoolBuilder::new().num_threads(2).build()?;
    /// assert_eq!(pool.join(|| 6, || 7), (6, 7));
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    /// # Panics
    ///
    /// If one of them panics, with its payload; and in a child made by `fork`.
    #[track_caller]
    pub fn join<A, B, RA, RB>(&self, oper_a: A, oper_b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA + Send,
        B: FnOnce() -> RB + Send,
        RA: Send,
        RB: Send,
    {
        let _entry = self.enter_and_wait();
        self.pool.join(oper_a, oper_b)
    }

    /// Runs `op` in the pool with a scope whose jobs may borrow, and waits for them all.
    ///
    /// ```
    /// let pool = rayon_jobserver::ThreadPoolBuilder::new().num_threads(2).build()?;
    /// let mut words = ["to", "be"].map(String::from);
    /// pool.scope(|scope| {
    ///     for word in &mut words {
    ///         scope.spawn(|_| word.make_ascii_uppercase());
    ///     }
    /// });
    /// assert_eq!(words, ["TO", "BE"]);
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    /// # Panics
    ///
    /// If `op` or one of the jobs panics, with its payload; and in a child made by `fork`.
    #[track_caller]
    pub fn scope<'scope, OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce(&Scope<'scope>) -> R + Send,
        R: Send,
    {
        let _entry = self.enter_and_wait();
        self.pool.scope(op)
    }

    /// As [`scope`](ThreadPool::scope); each worker runs its own jobs in the order they were
    /// spawned.
    ///
    /// # Panics
    ///
    /// As [`scope`](ThreadPool::scope).
    #[track_caller]
    pub fn scope_fifo<'scope, OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce(&ScopeFifo<'scope>) -> R + Send,
        R: Send,
    {
        let _entry = self.enter_and_wait();
        self.pool.scope_fifo(op)
    }

    /// As [`scope`](ThreadPool::scope), but `op` runs on the current thread.
    ///
    /// # Panics
    ///
    /// As [`scope`](ThreadPool::scope).
    #[track_caller]
    pub fn in_place_scope<'scope, OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce(&Scope<'scope>) -> R,
    {
        // Dropped in the order of `enter_and_wait`.
        let mut loan = Loan::none();
        let _entry = (self.enter(), self.announce());
        self.pool.in_place_scope(|scope| {
            let _waits_next = loan.upcoming(self.jobserver.ledger());
            op(scope)
        })
    }

    /// As [`scope_fifo`](ThreadPool::scope_fifo), but `op` runs on the current thread.
    ///
    /// # Panics
    ///
    /// As [`scope`](ThreadPool::scope).
    #[track_caller]
    pub fn in_place_scope_fifo<'scope, OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce(&ScopeFifo<'scope>) -> R,
    {
        // Dropped in the order of `enter_and_wait`.
        let mut loan = Loan::none();
        let _entry = (self.enter(), self.announce());
        self.pool.in_place_scope_fifo(|scope| {
            let _waits_next = loan.upcoming(self.jobserver.ledger());
            op(scope)
        })
    }

    /// Runs `op` in the pool without waiting for it. It runs even if the pool is dropped.
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let pool = rayon_jobserver::ThreadPoolBuilder::new().num_threads(2).build()?;
    /// let (send, receive) = mpsc::channel();
    /// pool.spawn(move || send.send(42).expect("somebody waits"));
    /// drop(pool);
    /// assert_eq!(receive.recv(), Ok(42));
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    /// A panic in `op` goes to the panic handler, without which the process aborts.
    ///
    /// # Panics
    ///
    /// In a child made by `fork`.
    #[track_caller]
    pub fn spawn<OP>(&self, op: OP)
    where
        OP: FnOnce() + Send + 'static,
    {
        let visit = self.enter();
        self.pool.spawn(move || {
            let _visit = visit;
            op();
        });
    }

    /// As [`spawn`](ThreadPool::spawn); a worker runs what it spawned itself in order.
    ///
    /// # Panics
    ///
    /// In a child made by `fork`.
    #[track_caller]
    pub fn spawn_fifo<OP>(&self, op: OP)
    where
        OP: FnOnce() + Send + 'static,
    {
        let visit = self.enter();
        self.pool.spawn_fifo(move || {
            let _visit = visit;
            op();
        });
    }

    /// Runs `op` once on every worker and returns the results in the workers' order.
    ///
    /// No more workers run at once than the tokens allow: those that have run make way for the
    /// others.
    ///
    /// ```
    /// use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
    ///
    /// let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(Jobserver::new(1)).build()?;
    /// assert_eq!(pool.broadcast(|context| context.index()), [0, 1, 2, 3]);
    /// assert!(pool.stats().peak <= 2, "two at a time");
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    /// # Panics
    ///
    /// If `op` panics on a worker, with its payload, once all have run; and in a child made by `fork`.
    #[track_caller]
    pub fn broadcast<OP, R>(&self, op: OP) -> Vec<R>
    where
        OP: Fn(BroadcastContext<'_>) -> R + Sync,
        R: Send,
    {
        let _entry = self.enter_and_wait();
        let announcement = self.governor.announcement();
        self.pool.broadcast(|context| {
            announcement.make();
            op(context)
        })
    }

    /// As [`broadcast`](ThreadPool::broadcast), without waiting.
    ///
    /// # Panics
    ///
    /// In a child made by `fork`.
    #[track_caller]
    pub fn spawn_broadcast<OP>(&self, op: OP)
    where
        OP: Fn(BroadcastContext<'_>) + Send + Sync + 'static,
    {
        // Dropped with the closure, when the last worker has run it. Also if a worker calls: should the pool be dropped
        // meanwhile, it does not end before, or one whose thread has yet to come up would run its copy without a fund.
        self.governor.home().insist();
        let visit = self.governor.enter();
        let announcement = self.governor.announcement();
        self.pool.spawn_broadcast(move |context| {
            let _visit = &visit;
            announcement.make();
            op(context);
        });
    }

    /// Runs one job of the pool, if there is one: `None` unless called on one of its workers.
    pub fn yield_now(&self) -> Option<Yield> {
        self.pool.yield_now()
    }

    /// Runs one of the current worker's own jobs, if there is one: `None` unless called on one of
    /// the pool's workers.
    pub fn yield_local(&self) -> Option<Yield> {
        self.pool.yield_local()
    }

    /// The number of threads, which is the most that ever run at once.
    pub fn current_num_threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// The current thread's index in the pool, if it is one of its workers.
    pub fn current_thread_index(&self) -> Option<usize> {
        self.pool.current_thread_index()
    }

    /// Whether the current worker has jobs of its own waiting; `None` unless called on one of the
    /// pool's workers.
    pub fn current_thread_has_pending_tasks(&self) -> Option<bool> {
        self.pool.current_thread_has_pending_tasks()
    }
}

impl Drop for ThreadPool {
    /// Returns at once. What was spawned still runs, gated as before; then the threads end.
    fn drop(&mut self) {
        self.governor.drain();
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // There are none in a forked child.
        let stats = self.governor.home().is_here().then(|| self.stats());
        f.debug_struct("ThreadPool")
            .field("num_threads", &self.current_num_threads())
            .field("stats", &stats)
            .field("jobserver", &self.jobserver)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Jobserver, ThreadPoolBuilder};

    /// Else each of a tree of joins would lock the governor, on that worker alone.
    #[test]
    fn of_the_calls_of_the_thread_that_built_the_pool_the_outermost_is_announced() {
        let builder = ThreadPoolBuilder::new().num_threads(1).jobserver(Jobserver::new(0));
        let pool = builder.use_current_thread().build().expect("no thread is needed");
        let announces = || pool.enter_and_wait().1.is_some();
        let outer = pool.enter_and_wait();
        assert!(outer.1.is_some());
        assert!(!announces(), "it is within another one");
        drop(outer);
        assert!(announces() && announces(), "each after the other");
    }
}
