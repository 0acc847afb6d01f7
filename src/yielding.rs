//! Giving way to others in the middle of a job.

use crate::blocking;

/// Offers this worker's token to others, if it is their turn; else does nothing.
///
/// For jobs within a call that takes seconds, such as the items of one long parallel iterator. A busy pool
/// offers a token [now and then](crate::ThreadPoolBuilder::fair_share), but a worker takes part in that by itself
/// only when its own queue is empty, perhaps not before the end of the call. Jobs that call this, say
/// every millisecond, let others have a token while the call goes on. While no offer is due, it only reads a flag.
///
/// It returns when the worker is funded again: after about 2 ms if nobody has taken the token, or else when
/// the pool gets one back, which may take long. Call it where nothing waits for this job, and above all not with a
/// lock held that other jobs need. A worker that is seen to wait for that lock hands its own fund to this one, but
/// [where that cannot be seen](crate::ThreadPoolBuilder::detect_blocking) the pool may wait for ever. Meanwhile the
/// jobs in this worker's own queue may be stolen.
///
/// The pool does not give away its last token or own slot. Nothing happens on a thread that is no worker of one of
/// this crate's pools, within [`blocking`](crate::blocking()), in a child made by `fork`, and in a pool without
/// [fair share](crate::ThreadPoolBuilder::fair_share). Not to be confused with
/// [`rayon::yield_now`](rayon_core::yield_now), which runs another job on this thread.
///
/// ```
/// use rayon::prelude::*;
/// use rayon_jobserver::{ThreadPoolBuilder, yield_token};
///
/// let pool = ThreadPoolBuilder::new().num_threads(4).build()?;
/// let sum: u64 = pool.install(|| (0..1_000_u64).into_par_iter().inspect(|_| yield_token()).sum());
/// assert_eq!(sum, 499_500);
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
pub fn yield_token() {
    if let Some((governor, worker)) = blocking::home_that_summons() {
        governor.yields(worker);
    }
}
