//! Whether a worker that took a probe is idle, or merely between two short jobs.

use super::{Judged, Nanos};

const MICROSECOND: Nanos = 1_000;

/// A worker seen longer ago than this says nothing about the present phase of its pool.
const FRESH: Nanos = 2_000 * MICROSECOND;

/// A worker seen a shorter time ago has not had the time to show that it is active.
const BRIEF: Nanos = 500 * MICROSECOND;

/// A worker that takes one probe right after another has done nothing else since: what it ran for
/// the first would pass for a job.
const MOMENT: Nanos = 50 * MICROSECOND;

/// Jobs that wait put a worker to sleep so often, and at this rate: an idle one sleeps once between
/// two probes, and once more each time it was woken for something that another took.
const SLEEPS: i64 = 3;
const SLEEP_EVERY: Nanos = 2_000 * MICROSECOND;

/// A probe that has lain for longer was not there for an idle worker, which takes it within 30 µs,
/// unless that had to wait for a core.
pub(crate) const LATE: Nanos = 100 * MICROSECOND;

/// What it may take a thread to wake on a busy host's guest: no clock of the guest tells.
const WAKING: Nanos = 1_000 * MICROSECOND;

/// What a worker runs at most to take a probe and go back to sleep, and how much more for each worker of
/// the pool: rayon looks through all queues 33 times before. The bench `scaling` shows what that takes where
/// nothing else runs; beside a busy process it was seen to take twice as much.
const PROBE_COST: (Nanos, Nanos) = (150 * MICROSECOND, 3 * MICROSECOND);

/// The same in a pool of so many workers.
pub(super) fn probe_cost(workers: usize) -> Nanos {
    let (least, each) = PROBE_COST;
    least + each * workers as Nanos
}

/// What a worker's thread had used up at some instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) at: Nanos,
    pub(crate) cpu: Nanos,
    /// How often it had gone to sleep, if that was looked at: only the thread itself can.
    pub(crate) sleeps: Option<i64>,
}

/// When a worker was last seen, and what it was taken for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Record {
    seen: Option<Usage>,
    /// When it was admitted or last took a probe, and how often it had gone to sleep by then.
    slept: Option<(Nanos, i64)>,
    judged: Option<(Nanos, Judged)>,
}

impl Record {
    /// Sees a worker without judging it.
    pub(crate) fn survey(&mut self, usage: Usage) {
        self.seen = Some(usage);
    }

    /// What a worker has run since it was last seen. If that is nothing it is idle, and however often it
    /// slept before that says nothing more.
    pub(crate) fn count(&mut self, usage: Usage) -> Nanos {
        let ran = self.seen.map_or(0, |seen| usage.cpu.saturating_sub(seen.cpu));
        if ran == 0 {
            self.slept = None;
        }
        ran
    }

    /// A worker is admitted anew: what it did before it was parked does not count.
    pub(crate) fn begin(&mut self, usage: Usage) {
        self.seen = Some(usage);
        self.slept = usage.sleeps.map(|sleeps| (usage.at, sleeps));
        self.judged = None;
    }

    /// Judges what one of so many workers, which took a probe, has done since it was last seen.
    ///
    /// A fifth of the time counts as active. Sleeps count since the worker's last probe or admission,
    /// surveyed or not: a leaf that waits rather than computes is no less a job.
    pub(crate) fn judge(&mut self, usage: Usage, workers: usize) -> Judged {
        let judged = match self.judged {
            Some((at, judged)) if usage.at - at < MOMENT => judged,
            _ if self.sleeps_like_a_job(usage) => {
                self.seen = Some(usage);
                Judged::Slept
            }
            _ => self
                .seen
                .replace(usage)
                .map_or(Judged::Unknown, |earlier| usage.since(earlier, probe_cost(workers))),
        };
        self.slept = usage.sleeps.map(|sleeps| (usage.at, sleeps));
        self.judged = Some((usage.at, judged));
        judged
    }

    /// Whether a worker was in a job for most of the time that the probe it took has `lain`, of which it waited so
    /// long for a core: rayon wakes an idle one for it.
    ///
    /// An idle one goes to sleep once between two probes. So does one that sleeps within a job, but it is not
    /// believed before the latest that a guest of a busy host may wake.
    pub(crate) fn is_late(&self, usage: Usage, lain: Nanos, waited: Nanos) -> bool {
        let slept = self.slept.zip(usage.sleeps).map(|((_, before), sleeps)| sleeps - before);
        let least = if slept.is_none_or(|slept| slept <= 1) { WAKING } else { LATE };
        // Nobody comes late to what was posted before he was there.
        let there = self.slept.map_or(lain, |(since, _)| usage.at.saturating_sub(since));
        // It may have waited for the core just now, all the time since it was last asked.
        lain.min(there) >= least.max(waited + LATE)
    }

    fn sleeps_like_a_job(&self, usage: Usage) -> bool {
        let (Some((at, before)), Some(sleeps)) = (self.slept, usage.sleeps) else { return false };
        let (elapsed, slept) = (usage.at.saturating_sub(at), sleeps - before);
        let often = Nanos::try_from(slept).is_ok_and(|slept| elapsed <= slept * SLEEP_EVERY);
        elapsed >= BRIEF && slept >= SLEEPS && often
    }
}

impl Usage {
    fn since(self, earlier: Usage, cost: Nanos) -> Judged {
        let elapsed = self.at.saturating_sub(earlier.at);
        let ran = self.cpu.saturating_sub(earlier.cpu);
        if ran <= cost {
            Judged::Quiet
        } else if elapsed < BRIEF {
            Judged::Unknown
        } else if ran * 5 <= elapsed.min(FRESH) {
            // Not even if all of it was lately.
            Judged::Quiet
        } else if elapsed < FRESH {
            Judged::Active
        } else {
            Judged::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(at: Nanos, cpu: Nanos) -> Usage {
        Usage { at: at * MICROSECOND, cpu: cpu * MICROSECOND, sleeps: None }
    }

    fn judge(seen: Usage, now: Usage) -> Judged {
        let mut record = Record::default();
        record.survey(seen);
        record.judge(now, 2)
    }

    #[test]
    fn a_worker_is_judged_by_what_it_ran() {
        assert_eq!(Record::default().judge(usage(7, 7), 2), Judged::Unknown);
        assert_eq!(judge(usage(0, 0), usage(1_000, 60)), Judged::Quiet);
        assert_eq!(judge(usage(0, 0), usage(1_000, 300)), Judged::Active);
        assert_eq!(judge(usage(0, 0), usage(300, 250)), Judged::Unknown, "too short to tell");
        assert_eq!(judge(usage(0, 0), usage(9_000, 500)), Judged::Unknown, "too long ago");
        assert_eq!(judge(usage(0, 0), usage(9_000, 300)), Judged::Quiet, "whenever that was");
        assert_eq!(judge(usage(0, 0), usage(9_000, 90)), Judged::Quiet, "however long ago");
    }

    #[test]
    fn a_worker_whose_jobs_wait_is_told_by_its_sleeps_since_its_last_probe() {
        let seen = |at, sleeps| Usage { sleeps: Some(sleeps), ..usage(at, 0) };
        let after = |later| {
            let mut record = Record::default();
            record.judge(seen(0, 10), 2);
            record.survey(usage(3_500, 0));
            record.judge(later, 2)
        };
        assert_eq!(after(seen(5_000, 13)), Judged::Slept);
        assert_eq!(after(seen(5_000, 12)), Judged::Quiet, "woken in passing");
        assert_eq!(after(seen(7_000, 13)), Judged::Quiet, "too seldom");
        assert_eq!(after(seen(400, 19)), Judged::Quiet, "too short to tell");
    }

    #[test]
    fn sleeps_before_a_survey_say_nothing_of_a_worker_that_has_not_run_since() {
        let seen = |at, cpu, sleeps| Usage { sleeps: Some(sleeps), ..usage(at, cpu) };
        let asked = |cpu| {
            let mut record = Record::default();
            record.judge(seen(0, 0, 10), 2);
            record.survey(usage(10_000, 50));
            record.count(usage(11_500, cpu));
            record.judge(seen(12_000, 60, 20), 2)
        };
        assert_eq!([asked(50), asked(55)], [Judged::Quiet, Judged::Slept]);
    }

    #[test]
    fn a_worker_that_is_admitted_anew_is_judged_by_what_it_does_from_then_on() {
        let mut record = Record::default();
        record.judge(Usage { sleeps: Some(3), ..usage(0, 0) }, 2);
        record.begin(Usage { sleeps: Some(4), ..usage(50_000, 100) });
        let later = Usage { sleeps: Some(7), ..usage(53_000, 150) };
        assert_eq!(record.judge(later, 2), Judged::Slept, "three times in 3 ms, not four in 53");
    }

    #[test]
    fn who_takes_a_probe_late_was_in_a_job_unless_it_waited_for_a_core_or_has_only_slept() {
        let seen = |at, sleeps| Usage { sleeps: Some(sleeps), ..usage(at, 0) };
        let mut record = Record::default();
        record.begin(seen(0, 10));
        let late = |slept: i64, lain, waited| {
            record.is_late(seen(2_000, 10 + slept), lain * MICROSECOND, waited * MICROSECOND)
        };
        assert!(late(2, 100, 0) && !late(2, 99, 0));
        assert!(late(2, 300, 200) && !late(2, 299, 200), "a core was not to be had");
        assert!(late(1, 1_000, 0) && !late(1, 999, 0), "as an idle one does");
        assert!(late(1, 1_500, 1_400) && !late(1, 1_499, 1_400), "both");
        let soon = |at| record.is_late(seen(at, 12), 1_500 * MICROSECOND, 0);
        assert!(soon(100) && !soon(99), "the probe had been there before the worker");
    }

    #[test]
    fn two_probes_of_a_burst_make_no_worker_active() {
        let mut record = Record::default();
        record.survey(usage(0, 0));
        assert_eq!(record.judge(usage(1_000, 40), 2), Judged::Quiet);
        assert_eq!(record.judge(usage(1_010, 50), 2), Judged::Quiet);
    }
}
