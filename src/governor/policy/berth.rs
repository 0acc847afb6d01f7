//! Where workers sleep: the idle ones always do so at the same place, and whoever is in a job that waits at another.

use super::Nanos;

/// Where a thread sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What it has called the system for.
    pub(crate) call: u64,
    /// How far its stack has grown since it began as a worker.
    pub(crate) depth: u64,
}

/// Whether a worker sleeps, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It does not.
    Awake,
    /// It does, where an idle one would, as far as is known.
    Asleep,
    /// It does, but elsewhere than idle ones: it is in a job.
    InJob,
}

/// A worker that was seen asleep.
#[derive(Debug, Default)]
pub(crate) struct Nap {
    /// What it had used up by then, and where it slept.
    seen: Option<(Nanos, Place)>,
}

/// Whoever has run for no longer than this since it slept has done so to take the probe that woke it.
const WAKING: Nanos = 50_000;

impl Nap {
    /// The worker, which has used up so much, sleeps; `None`: the system does not tell where.
    pub(crate) fn look(&mut self, cpu: Nanos, place: Option<Place>) {
        self.seen = place.map(|place| (cpu, place));
    }

    /// Where the worker, which has used up so much and takes a probe, slept until that was posted, if it was seen to.
    pub(crate) fn end(&mut self, cpu: Nanos) -> Option<Place> {
        let (before, place) = self.seen.take()?;
        (cpu.saturating_sub(before) <= WAKING).then_some(place)
    }
}

/// What is known of the place at which the idle workers of a pool sleep.
#[derive(Debug, Default)]
pub(crate) struct Berth {
    idle: Option<Place>,
}

impl Berth {
    /// How a worker rests that sleeps at this place; `None`: the system does not tell where.
    pub(crate) fn rest(&self, place: Option<Place>) -> Rest {
        match (self.idle, place) {
            (Some(idle), Some(place)) if idle != place => Rest::InJob,
            _ => Rest::Asleep,
        }
    }

    /// A worker that slept there has taken a probe in rayon's main loop. Should it have been in a job, and that have
    /// ended just when the probe was posted, the next one puts it right.
    pub(crate) fn learn(&mut self, place: Place) {
        self.idle = Some(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BED: Place = Place { call: 1, depth: 100 };

    #[test]
    fn a_worker_slept_until_a_probe_if_it_has_hardly_run_since() {
        let mut nap = Nap::default();
        assert_eq!(nap.end(0), None, "nobody has seen it");
        nap.look(7, Some(BED));
        assert_eq!(nap.end(7 + WAKING), Some(BED));
        nap.look(7, Some(BED));
        assert_eq!(nap.end(8 + WAKING), None, "it has run a job since");
        nap.look(7, Some(BED));
        nap.look(8, None);
        assert_eq!(nap.end(9), None, "nobody tells where it slept at last");
    }

    #[test]
    fn a_worker_that_sleeps_elsewhere_than_idle_ones_is_in_a_job() {
        let mut berth = Berth::default();
        let places = [BED, Place { call: 2, ..BED }, Place { depth: 101, ..BED }].map(Some);
        assert_eq!(
            places.map(|place| berth.rest(place)),
            [Rest::Asleep; 3],
            "nothing is known yet"
        );
        berth.learn(BED);
        let rests = places.map(|place| berth.rest(place));
        assert_eq!(rests, [Rest::Asleep, Rest::InJob, Rest::InJob]);
        assert_eq!(berth.rest(None), Rest::Asleep, "nobody tells");
    }
}
