//! How fast a saturated pool grows: doubling while it helps, backing off when it does not.

use super::Nanos;

/// The pace at which workers are added.
#[derive(Debug)]
pub(crate) struct Growth {
    /// How many workers the next round adds.
    step: usize,
    backoff: Nanos,
    bounds: (Nanos, Nanos),
    not_before: Nanos,
    /// Whether workers were added that have not yet been seen to find work.
    trial: bool,
    /// How many more workers could be of use, were there tokens.
    asked: usize,
    /// The pause after the next exploration, and when it may begin.
    explore_pause: Nanos,
    explore_at: Nanos,
}

impl Growth {
    pub(crate) fn new(bounds: (Nanos, Nanos)) -> Self {
        Growth {
            step: 1,
            backoff: bounds.0,
            bounds,
            not_before: 0,
            trial: false,
            asked: 0,
            explore_pause: bounds.0,
            explore_at: 0,
        }
    }

    /// Whether to add one worker to a pool that is active but never saturated, as one that runs
    /// sections shorter than it takes a probe to mature. If so, the next time comes after a pause
    /// that doubles: what is of use stays, and what is not need not be tried soon again.
    pub(crate) fn explores(&mut self, now: Nanos) -> bool {
        if now < self.explore_at {
            return false;
        }
        self.explore_at = now + self.explore_pause;
        self.explore_pause = (self.explore_pause * 2).min(8 * self.bounds.1);
        true
    }

    /// How many workers the next round would add.
    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// When the next round may begin; `None` while it waits for tokens instead.
    pub(crate) fn due(&self) -> Option<Nanos> {
        (self.asked == 0).then_some(self.not_before)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// Notes that `missing` tokens were not to be had.
    pub(crate) fn ask(&mut self, missing: usize) {
        self.asked = missing;
    }

    pub(crate) fn withdraw(&mut self) {
        self.asked = 0;
    }

    /// Puts the next round off.
    pub(crate) fn hold(&mut self, until: Nanos) {
        self.not_before = self.not_before.max(until);
    }

    /// Notes that workers were added and are on trial.
    pub(crate) fn started(&mut self, admitted: usize) {
        self.trial = true;
        self.asked = self.asked.saturating_sub(admitted);
    }

    /// The workers on trial are busy: the next round is twice as large and comes at once.
    pub(crate) fn confirmed(&mut self, now: Nanos, workers: usize) {
        if self.trial {
            self.trial = false;
            self.step = (self.step * 2).min(workers.max(1));
            self.backoff = self.bounds.0;
            self.not_before = now;
        }
    }

    /// A worker found nothing to do. Says whether one was on trial.
    pub(crate) fn failed(&mut self, now: Nanos) -> bool {
        if !self.trial {
            return false;
        }
        self.trial = false;
        self.step = 1;
        self.not_before = now + self.backoff;
        self.backoff = (self.backoff * 2).min(self.bounds.1);
        true
    }

    /// The pool went idle. Of its width the next call makes use, until a worker finds nothing to do.
    pub(crate) fn forget(&mut self) {
        self.trial = false;
        self.backoff = self.bounds.0;
        self.not_before = 0;
        self.asked = 0;
        self.explore_pause = self.bounds.0;
        self.explore_at = 0;
    }
}
