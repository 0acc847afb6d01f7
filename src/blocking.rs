//! Giving a fund up around something that blocks.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use crate::governor::Governor;
use crate::jobserver::Resigned;
use crate::session::Loan;

/// Where a worker belongs.
struct Place {
    governor: Weak<Governor>,
    worker: usize,
    /// The pool's workers have been summoned to offer a token.
    summoning: Arc<AtomicBool>,
}

thread_local! {
    /// The pool that this thread is a worker of.
    static HOME: RefCell<Option<Place>> = const { RefCell::new(None) };
    /// How many calls of [`blocking`] this thread is in.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Notes that this thread is a worker, which may run jobs from now on.
pub(crate) fn settle(governor: &Arc<Governor>, worker: usize) {
    let summoning = governor.summoning();
    HOME.set(Some(Place { governor: Arc::downgrade(governor), worker, summoning }));
}

/// Runs `op`, which waits for something other than a job, while another worker uses this one's token.
///
/// Do not use it to wait for child processes that compute: a compiler runs on the token of the worker that
/// waits for it, and would run on none.
///
/// On a worker of one of this crate's pools, what funds it (a token or the own slot) goes to a
/// parked worker that may have something to do, or else back. Afterwards the worker is funded again
/// before any idle one; until then the call does not return.
///
/// A thread that is no worker gives up, until `op` has ended, what it runs on: what it has
/// [acquired](crate::session::acquire_thread) in a session, or else the [`Token`](crate::Token) that it acquired
/// first. It keeps other tokens. The thread of
/// [`use_current_thread`](crate::ThreadPoolBuilder::use_current_thread) does the same, and keeps what its pool gave it
/// as a worker. In start and exit handlers, within another `blocking`, and in a child made by `fork`, `op` runs and
/// nothing else happens. (Should a worker run a job while it waits for others within `op`, what funds that job is given
/// up around a `blocking` in it.)
///
/// `op` should not run jobs, since nothing pays for them at first, nor return with a lock held that other jobs wait
/// for. If it does return with one, those jobs are seen to block (on Linux, after
/// [`detect_blocking`](crate::ThreadPoolBuilder::detect_blocking)), or this worker goes on unfunded
/// after 100 ms: slow, but no deadlock. A pool that is dropped meanwhile ends after `op` has.
///
/// ```
/// use rayon_jobserver::{Jobserver, ThreadPoolBuilder, blocking};
///
/// let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(Jobserver::new(0)).build()?;
/// let (send, receive) = std::sync::mpsc::channel();
/// // One job at a time, and yet one can wait for what another sends.
/// let (got, sent) = pool.join(move || blocking(|| receive.recv()), move || send.send(42));
/// assert_eq!((got, sent), (Ok(42), Ok(())));
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
///
/// # Panics
///
/// If `op` panics, with the same payload, once the worker is funded again.
pub fn blocking<OP, R>(op: OP) -> R
where
    OP: FnOnce() -> R,
{
    let _absence = Absence::begin();
    op()
}

/// Is about while its thread is in `blocking`: what is to be got back at the end of that.
struct Absence {
    home: Option<(Arc<Governor>, usize)>,
    /// Of a thread outside any pool.
    _outside: Option<(Loan, Resigned)>,
}

impl Absence {
    fn begin() -> Self {
        let depth = DEPTH.replace(DEPTH.get() + 1);
        if depth > 0 {
            // A worker that waits for jobs within `op` runs others, and has got a fund for them.
            let home = home().filter(|(governor, worker)| governor.blocked_again(*worker));
            return Absence { home, _outside: None };
        }
        let home = home();
        let outside = home.is_none().then(|| {
            let loan = Loan::to_anybody();
            let resigned = if loan.is_none() { Resigned::here() } else { Resigned::none() };
            (loan, resigned)
        });
        home.iter().for_each(|(governor, worker)| governor.blocked(*worker));
        Absence { home, _outside: outside }
    }
}

impl Drop for Absence {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        let home = self.home.take().filter(|(governor, _)| governor.home().is_here());
        home.iter().for_each(|(governor, worker)| governor.unblocked(*worker));
    }
}

/// The pool of the current thread, if it has one and is not the copy of a worker in a forked child.
fn home() -> Option<(Arc<Governor>, usize)> {
    // While the thread ends, it is no worker any more.
    let here = |place: &Place| Some((place.governor.upgrade()?, place.worker));
    let home = HOME.try_with(|home| home.borrow().as_ref().and_then(here)).ok()??;
    Some(home).filter(|(governor, _)| governor.home().is_here())
}

/// The same, if the pool's workers have been summoned to offer a token: where they have not, nothing is touched that
/// other threads write to.
pub(crate) fn home_that_summons() -> Option<(Arc<Governor>, usize)> {
    let summons = |place: &Place| place.summoning.load(Ordering::Relaxed);
    HOME.try_with(|home| home.borrow().as_ref().is_some_and(summons)).ok()?.then(home)?
}
