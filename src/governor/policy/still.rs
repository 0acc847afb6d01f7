//! Whether a worker that should run sleeps, and for how long it has.

use super::{Nanos, Stillness, Usage};

/// What is known of one worker's sleep.
#[derive(Debug, Default)]
pub(crate) struct Still {
    seen: Option<Seen>,
}

/// A worker that has not been seen to run since.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// What it had used up when it was first seen so.
    usage: Usage,
    /// How often it was found asleep since.
    looks: u32,
    /// When it was looked at last.
    at: Nanos,
    /// It was seen to have run, and for the last time but one, between some instant after these and the look at
    /// which that was seen.
    ran_after: (Nanos, Nanos),
}

/// How often a worker must be found asleep. Once may be a machine that stood still as a whole.
const LOOKS: u32 = 2;

impl Still {
    /// For how long it has not been seen to run.
    pub(crate) fn lasts(&self, now: Nanos) -> Nanos {
        self.seen.map_or(0, |seen| now.saturating_sub(seen.usage.at))
    }

    /// Looks at a worker that has used up so much, and counts as blocked if it has slept for `detect` or longer. The
    /// last probe was `posted` then.
    pub(crate) fn look(
        &mut self,
        usage: Usage,
        posted: Nanos,
        detect: Nanos,
        sleeps: impl FnOnce() -> bool,
    ) -> Stillness {
        let at = usage.at;
        match self.seen {
            Some(seen) if seen.usage.cpu == usage.cpu => {
                if !sleeps() {
                    self.seen = Some(Seen { usage, looks: 0, at, ..seen });
                    // Whoever has had a core twice since then is busy: an idle one had taken the probe.
                    let (_, before) = seen.ran_after;
                    return if before >= posted { Stillness::Runs } else { Stillness::Starves };
                }
                let looks = seen.looks + 1;
                self.seen = Some(Seen { looks, at, ..seen });
                let long = at - seen.usage.at >= detect && looks >= LOOKS;
                if long { Stillness::Blocked } else { Stillness::Sleeps }
            }
            before => {
                // One that has hardly run may sleep by now, and run again by the next look, each time for a moment.
                let idle = |seen: Seen| {
                    let ran = usage.cpu.saturating_sub(seen.usage.cpu);
                    2 * ran < at - seen.usage.at
                };
                let dozes = before.is_some_and(idle) && sleeps();
                let ran_after = before.map_or((0, 0), |seen| (seen.at, seen.ran_after.0));
                self.seen = Some(Seen { usage, looks: 0, at, ran_after });
                if dozes { Stillness::Dozes } else { Stillness::Runs }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What looks tell of one that has used up so much by each, and sleeps or not; it counts as blocked after 10.
    fn looks<const N: usize>(all: [(Nanos, Nanos, bool); N]) -> [Stillness; N] {
        let mut still = Still::default();
        all.map(|(at, cpu, sleeps)| {
            still.look(Usage { at: 50 + at, cpu, sleeps: None }, 50, 10, || sleeps)
        })
    }

    #[test]
    fn a_worker_is_blocked_once_it_was_found_asleep_twice_and_for_long_enough() {
        use Stillness::{Blocked, Runs, Sleeps};
        let seen = looks([(0, 7, true), (5, 7, true), (9, 7, true), (10, 7, true)]);
        assert_eq!(seen, [Runs, Sleeps, Sleeps, Blocked]);
        let seen = looks([(0, 7, true), (100, 7, true), (101, 7, true)]);
        assert_eq!(seen, [Runs, Sleeps, Blocked], "the machine may have stood still");
    }

    #[test]
    fn a_worker_that_waits_for_a_core_does_not_sleep() {
        use Stillness::{Runs, Sleeps, Starves};
        let seen = looks([(0, 7, false), (9, 7, false), (18, 7, true), (19, 7, true)]);
        assert_eq!(seen, [Runs, Starves, Sleeps, Stillness::Blocked]);
    }

    #[test]
    fn a_worker_that_has_had_a_core_twice_since_the_probe_was_posted_runs_however_long_it_waits() {
        use Stillness::{Runs, Starves};
        let seen =
            looks([(0, 7, false), (5, 9, false), (9, 9, false), (14, 11, false), (30, 11, false)]);
        assert_eq!(seen, [Runs, Runs, Starves, Runs, Runs]);
    }

    #[test]
    fn a_worker_that_has_hardly_run_and_sleeps_dozes() {
        use Stillness::{Dozes, Runs};
        let seen = looks([(0, 7, true), (10, 11, true), (20, 16, true), (30, 20, false)]);
        assert_eq!(seen, [Runs, Dozes, Runs, Runs]);
    }
}
