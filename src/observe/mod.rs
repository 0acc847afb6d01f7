//! What a pool has done.

use crate::governor::policy::Tally;

/// Counters of one pool since it was built.
///
/// ```
/// use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
///
/// let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(Jobserver::new(1)).build()?;
/// pool.install(|| rayon::join(|| (), || ()));
/// assert!(pool.stats().peak <= 2);
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Workers that may run jobs at this moment.
    pub admitted: usize,
    /// The most workers that were admitted at once.
    pub peak: usize,
    /// How often a worker was admitted.
    pub admissions: u64,
    /// How often an idle worker was parked and its token (or own slot) given back.
    pub retirements: u64,
    /// How often an idle worker was parked and its token (or own slot) handed to another worker.
    pub handovers: u64,
    /// How often a parked worker was allowed to run what lay in its own queues.
    pub turns: u64,
    /// How often a token was offered to others although all workers were busy.
    pub offers: u64,
    /// Empty jobs that were posted to find out whether a worker is idle.
    pub probes: u64,
    /// How often an added worker found nothing to do.
    pub failed_trials: u64,
    /// How often a worker gave its token (or own slot) up to block.
    pub absences: u64,
    /// How often a worker was seen to block in a job. What funded it, if anything, was lent to
    /// another.
    pub lendings: u64,
    /// How often a worker ran before there was anything to fund it.
    pub overcommits: u64,
}

impl Stats {
    pub(crate) fn new(tally: Tally, admitted: usize, overcommits: u64) -> Self {
        let Tally {
            admissions,
            retirements,
            handovers,
            turns,
            offers,
            probes,
            failed_trials,
            peak,
            absences,
            lendings,
            overcommits: loose,
            loosened: _,
        } = tally;
        Stats {
            admitted,
            peak,
            admissions,
            retirements,
            handovers,
            turns,
            offers,
            probes,
            failed_trials,
            absences,
            lendings,
            overcommits: overcommits + loose,
        }
    }
}
