//! Letting others have a fund in the midst of a job.

use crate::blocking;

/// Lets others have this worker's token for a while, if it is their turn, and else does nothing.
///
/// For jobs within a call that takes seconds, such as the items of one long parallel iterator: a busy pool
/// offers a token [now and then](crate::ThreadPoolBuilder::fair_share), but a worker comes to that by itself
/// only when its own queue is empty, which it may not be before the end of the call. Jobs that call this, say
/// every millisecond, let others have a token while the call goes on. While no offer is due it only reads a flag.
///
/// It returns when the worker is funded again: after about 2 ms if nobody has taken the token, and else when
/// the pool gets one back, which may be long. Call it where nothing waits for this job, and above all without a
/// lock that other jobs need: a worker that is seen to wait for it hands its own fund on to this one, but
/// [where nobody can see that](crate::ThreadPoolBuilder::detect_blocking) the pool may wait for ever. The jobs in
/// this worker's own queue may be stolen meanwhile.
///
/// The pool does not give its last token or own slot away. On a thread that is no worker of one of this crate's
/// pools, within [`blocking`](crate::blocking()) and in a child made by `fork` nothing happens, nor in a pool
/// that must not give way. Not to be taken for [`rayon::yield_now`](rayon_core::yield_now), which runs another
/// job on this thread.
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
    if let Some((governor, worker)) = blocking::home_that_calls() {
        governor.yields(worker);
    }
}
