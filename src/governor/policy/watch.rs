//! Whether the lookout has run since it was last looked at, other than on our account.

use super::{Nanos, Ran, Rest};

/// Watches how much one worker runs.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    seen: Option<Seen>,
}

/// Whom a watch has seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    worker: usize,
    at: Nanos,
    /// It slept: from then on it runs only if it is called.
    asleep: bool,
    /// What it has run since it was first seen, if it has not been seen asleep since.
    searched: Nanos,
    /// It was found to have run, and not seen asleep since.
    awake: bool,
}

/// Whoever has run for longer since a probe is in a job, and not on its way to sleep. That way takes a worker
/// little of a core but, where all cores are wanted, tens of milliseconds: rayon looks through all queues 33
/// times and yields after each.
pub(super) const SEARCH: Nanos = 500_000;

impl Watch {
    /// Looks at a worker that has `ran` so long since the last look, and `since` some instant has not run on our
    /// account.
    pub(crate) fn look(
        &mut self,
        now: Nanos,
        (worker, since): (usize, Nanos),
        ran: Nanos,
        rests: impl FnOnce() -> Rest,
    ) -> Ran {
        let seen = self.seen.filter(|seen| seen.worker == worker && seen.at >= since);
        let settled = seen.is_some_and(|seen| seen.asleep);
        let searched = seen.map_or(0, |seen| seen.searched + ran);
        // Whoever was busy and has not run since may wait for a core.
        let waits = ran == 0 && seen.is_some_and(|seen| seen.awake);
        let rest = if !settled || waits { rests() } else { Rest::Asleep };
        let sleeps = rest != Rest::Awake;
        let (asleep, awake) = (settled || sleeps, ran > 0 || (waits && !sleeps));
        self.seen = Some(Seen { worker, at: now, asleep, searched, awake });
        match seen {
            _ if rest == Rest::InJob => Ran::Waits,
            Some(_) if awake && ran == 0 => Ran::Unsettled,
            Some(seen) if settled || searched > SEARCH => match ran {
                0 => Ran::No,
                ran if 2 * ran >= now - seen.at => Ran::Busy,
                _ => Ran::Yes,
            },
            _ => Ran::Unsettled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1_000_000;

    /// What looks a millisecond apart tell, at each of which one has run so long and sleeps or not.
    fn looks<const N: usize>(watch: &mut Watch, all: [(Nanos, bool); N]) -> [Ran; N] {
        let mut now = 0;
        all.map(|(ran, sleeps)| {
            now += MILLISECOND;
            watch.look(now, (0, 0), ran, || if sleeps { Rest::Asleep } else { Rest::Awake })
        })
    }

    #[test]
    fn what_a_worker_runs_counts_once_it_was_seen_asleep() {
        let seen = looks(
            &mut Watch::default(),
            [
                (9, false),
                (200_000, true),
                (0, true),
                (1, true),
                (500_000, false),
                (0, false),
                (0, true),
            ],
        );
        assert_eq!(
            seen,
            [Ran::Unsettled, Ran::Unsettled, Ran::No, Ran::Yes, Ran::Busy, Ran::Unsettled, Ran::No],
            "it was on its way to sleep, then was called, and waited for a core in the end"
        );
    }

    #[test]
    fn what_a_worker_runs_counts_once_that_is_more_than_a_probe_takes() {
        let mut watch = Watch::default();
        let seen = looks(&mut watch, [(0, false), (SEARCH, false), (1, false), (SEARCH, false)]);
        assert_eq!(seen, [Ran::Unsettled, Ran::Unsettled, Ran::Yes, Ran::Busy]);
        let now = 9 * MILLISECOND;
        let anew = watch.look(now, (0, now), SEARCH, || Rest::Asleep);
        assert_eq!(anew, Ran::Unsettled, "for a probe, perhaps");
        assert_eq!(watch.look(now + 1, (1, 0), 7, || Rest::Asleep), Ran::Unsettled, "another one");
    }

    #[test]
    fn whoever_sleeps_elsewhere_than_an_idle_worker_is_in_a_job_however_little_it_ran() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(1, (0, 0), 0, || Rest::InJob), Ran::Waits);
        assert_eq!(watch.look(2, (0, 0), 0, || panic!("it has not run since")), Ran::No);
        let mut watch = Watch::default();
        let looks = [(1, Rest::Awake), (SEARCH + 1, Rest::Awake), (0, Rest::InJob)];
        let seen = looks.map(|(ran, rest)| watch.look(MILLISECOND, (0, 0), ran, || rest));
        assert_eq!(seen, [Ran::Unsettled, Ran::Busy, Ran::Waits], "it computed, then waited");
    }
}
