//! rayon's global pool: its counters, and functions that announce calls to its governor at once.
//!
//! Where [`build_global`](crate::ThreadPoolBuilder::build_global) has not built that pool they are rayon's own
//! functions, and rayon builds a pool that follows no jobserver.
//!
//! In a child made by `fork` the pool has no workers, and all of these panic except [`jobserver()`].

use std::sync::{Arc, OnceLock};

use rayon_core::{BroadcastContext, Scope};

use crate::adopted::{Adopted, Announced};
use crate::governor::{Governor, Visit};
use crate::session::Loan;
use crate::{Jobserver, Stats};

static GLOBAL: OnceLock<Global> = OnceLock::new();

struct Global {
    /// The first worker, if that is the thread that built the pool.
    builder: Option<Adopted>,
    governor: Arc<Governor>,
    jobserver: Jobserver,
}

pub(crate) fn set(builder: Option<Adopted>, governor: Arc<Governor>, jobserver: Jobserver) {
    let fresh = GLOBAL.set(Global { builder, governor, jobserver }).is_ok();
    debug_assert!(fresh, "rayon built its global pool twice");
}

/// Tells the governor of a call, unless the caller is a worker already.
///
/// Panics in a forked child, workers or not.
#[track_caller]
fn enter() -> Option<Visit> {
    let Global { governor, .. } = GLOBAL.get()?;
    governor.home().insist();
    let outside = rayon_core::current_thread_index().is_none();
    outside.then(|| governor.enter())
}

/// The same for a caller that waits from now on, and needs nothing to run on meanwhile but what it has as a worker.
#[track_caller]
fn enter_and_wait() -> (Option<Visit>, Option<Announced<'static>>, Loan) {
    let Some(Global { builder, governor, jobserver }) = GLOBAL.get() else {
        return (None, None, Loan::none());
    };
    // As in a pool of one's own.
    let loan = Loan::to(jobserver.ledger());
    (enter(), builder.as_ref().and_then(|builder| builder.announce(governor)), loan)
}

/// Counters of the global pool; `None` unless [`build_global`] built it.
///
/// ```
/// rayon_jobserver::ThreadPoolBuilder::new().build_global()?;
/// let stats = rayon_jobserver::global::stats().expect("it has just been built");
/// assert_eq!(stats.overcommits, 0);
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
///
/// # Panics
///
/// In a child made by `fork`.
///
/// [`build_global`]: crate::ThreadPoolBuilder::build_global
#[track_caller]
pub fn stats() -> Option<Stats> {
    let global = GLOBAL.get()?;
    Some(global.governor.stats())
}

/// The jobserver of the global pool; `None` unless [`build_global`] built it.
///
/// [`build_global`]: crate::ThreadPoolBuilder::build_global
pub fn jobserver() -> Option<Jobserver> {
    GLOBAL.get().map(|global| global.jobserver.clone())
}

/// Runs `op` in the global pool, or in place if called on a worker of any pool.
///
/// As with the other announced functions, that pool follows the jobserver only if [`build_global`] has built it. If
/// not, this is a call into stock rayon's, which rayon builds by itself.
///
/// ```
/// rayon_jobserver::ThreadPoolBuilder::new().build_global()?;
/// assert!(rayon_jobserver::install(|| rayon::current_thread_index().is_some()));
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
///
/// [`build_global`]: crate::ThreadPoolBuilder::build_global
///
/// # Panics
///
/// If `op` panics, with the same payload, and in a child made by `fork`.
#[track_caller]
pub fn install<OP, R>(op: OP) -> R
where
    OP: FnOnce() -> R + Send,
    R: Send,
{
    let _entry = enter_and_wait();
    rayon_core::scope(|_| op())
}

/// [`rayon_core::join`], announced to the governor of the pool that [`build_global`] has built.
///
/// ```
/// rayon_jobserver::ThreadPoolBuilder::new().build_global()?;
/// assert_eq!(rayon_jobserver::join(|| 1, || 2), (1, 2));
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
///
/// [`build_global`]: crate::ThreadPoolBuilder::build_global
///
/// # Panics
///
/// If a closure panics, with the same payload, and in a child made by `fork`.
#[track_caller]
pub fn join<A, B, RA, RB>(oper_a: A, oper_b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    let _entry = enter_and_wait();
    rayon_core::join(oper_a, oper_b)
}

/// [`rayon_core::scope`], announced to the governor of the pool that [`build_global`] has built.
///
/// ```
/// rayon_jobserver::ThreadPoolBuilder::new().build_global()?;
/// let mut sums = [0; 2];
/// let [left, right] = &mut sums;
/// rayon_jobserver::scope(|scope| {
///     scope.spawn(|_| *left = (1..=3).sum());
///     scope.spawn(|_| *right = (4..=6).sum());
/// });
/// assert_eq!(sums, [6, 15]);
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
///
/// [`build_global`]: crate::ThreadPoolBuilder::build_global
///
/// # Panics
///
/// If `op` or what it spawns panics, with the same payload, and in a child made by `fork`.
#[track_caller]
pub fn scope<'scope, OP, R>(op: OP) -> R
where
    OP: FnOnce(&Scope<'scope>) -> R + Send,
    R: Send,
{
    let _entry = enter_and_wait();
    rayon_core::scope(op)
}

/// [`rayon_core::spawn`], announced to the governor of the pool that [`build_global`] has built.
///
/// ```
/// rayon_jobserver::ThreadPoolBuilder::new().build_global()?;
/// let (send, receive) = std::sync::mpsc::channel();
/// rayon_jobserver::spawn(move || send.send(42).unwrap());
/// assert_eq!(receive.recv(), Ok(42));
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
///
/// [`build_global`]: crate::ThreadPoolBuilder::build_global
///
/// # Panics
///
/// In a child made by `fork`.
#[track_caller]
pub fn spawn<F>(func: F)
where
    F: FnOnce() + Send + 'static,
{
    let visit = enter();
    rayon_core::spawn(move || {
        let _visit = visit;
        func();
    });
}

/// [`rayon_core::broadcast`], announced to the governor of the pool that [`build_global`] has built.
///
/// ```
/// rayon_jobserver::ThreadPoolBuilder::new().build_global()?;
/// let indexes = rayon_jobserver::broadcast(|context| context.index());
/// assert_eq!(indexes.len(), rayon::current_num_threads());
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
///
/// [`build_global`]: crate::ThreadPoolBuilder::build_global
///
/// # Panics
///
/// If `op` panics, with the same payload, and in a child made by `fork`.
#[track_caller]
pub fn broadcast<OP, R>(op: OP) -> Vec<R>
where
    OP: Fn(BroadcastContext<'_>) -> R + Sync,
    R: Send,
{
    // On a worker of another pool, rayon broadcasts to that one.
    let (visit, _announced, _loan) = enter_and_wait();
    let Some(visit) = visit else { return rayon_core::broadcast(op) };
    let announcement = visit.announcement();
    rayon_core::broadcast(|context| {
        announcement.make();
        op(context)
    })
}
