//! How fast a saturated pool grows: doubling while it helps, backing off when it does not.

use super::Nanos;
use super::slack::PAUSES;

/// The pause between two trials of a lull is so small a part of how long it lasts: a wide phase that ends it begins
/// late by such a part of the serial one, at most. A pool beside one job that has computed for 2 s wakes 18 times a
/// second with this, and 47 times with 128; a wide phase begins late by 18 to 23 ms instead of 10.
const RARER: Nanos = 40;

/// The pace at which workers are added.
#[derive(Debug)]
pub(crate) struct Growth {
    /// How many workers the next round adds.
    step: usize,
    /// How many there were when all were last seen to be of use.
    reached: usize,
    backoff: Nanos,
    bounds: (Nanos, Nanos),
    not_before: Nanos,
    /// The longest pause between two trials of a lull.
    rarest: Nanos,
    /// When something last changed, when a trial first failed since, and the pause in a lull for that.
    stirred_at: Nanos,
    failed_since: Option<Nanos>,
    lull: Nanos,
    /// The last trial of a lull began with a turn.
    by_turn: bool,
    /// Workers that were added and have not yet been seen to find work.
    on_trial: usize,
    /// They were added since as many were of use before.
    recalled: bool,
    /// How many more workers could be of use, were there tokens.
    asked: usize,
    /// The pause after the next exploration, and when it may begin.
    explore_pause: Nanos,
    explore_at: Nanos,
}

impl Growth {
    /// The pauses after trials are between these bounds, and up to the `rarest` in a lull.
    pub(crate) fn new(bounds: (Nanos, Nanos), rarest: Nanos) -> Self {
        Growth {
            step: 1,
            reached: 1,
            backoff: bounds.0,
            bounds,
            not_before: 0,
            rarest,
            stirred_at: 0,
            failed_since: None,
            lull: 0,
            by_turn: false,
            on_trial: 0,
            recalled: false,
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

    /// How many workers were of use the last time that all were.
    pub(crate) fn reached(&self) -> usize {
        self.reached
    }

    /// So many workers are seen to be of use, though never all at once for long.
    pub(crate) fn used(&mut self, admitted: usize) {
        self.reached = self.reached.max(admitted);
    }

    /// When the next round may begin; `None` while it waits for tokens instead.
    pub(crate) fn due(&self) -> Option<Nanos> {
        (self.asked == 0).then_some(self.not_before)
    }

    /// Something has changed: more workers may be of use before long.
    pub(crate) fn stirred(&mut self, now: Nanos) {
        self.stirred_at = now;
        self.end_lull();
    }

    /// Whether nothing has changed for so long that it pays to look more rarely than ever else.
    pub(crate) fn is_still(&self, now: Nanos) -> bool {
        now >= self.stirred_at + PAUSES * self.bounds.1
    }

    /// The next trial comes no later than the pauses outside a lull allow.
    fn end_lull(&mut self) {
        self.failed_since = None;
        let lull = std::mem::take(&mut self.lull);
        if lull > self.bounds.1 {
            self.not_before -= lull - self.bounds.1;
        }
    }

    /// Whether this trial of a lull begins with a turn: every other one does.
    pub(crate) fn begins_with_turn(&mut self) -> bool {
        self.by_turn = !self.by_turn;
        self.by_turn
    }

    /// Whether for so long nobody has been of use who was added that the next one will hardly be.
    pub(crate) fn is_lulled(&self) -> bool {
        self.lull > self.bounds.1
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked
    }

    /// Whether workers were added that have not yet been seen to find work.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.on_trial > 0
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
        self.on_trial += admitted;
        self.asked = self.asked.saturating_sub(admitted);
    }

    /// Notes that as many workers were added as were of use before, and are on trial.
    pub(crate) fn recalled(&mut self, admitted: usize) {
        self.started(admitted);
        self.recalled = true;
    }

    /// All that are `admitted` of the `workers` are busy, those on trial among them: the next round
    /// comes at once and is twice as large, or as large as it takes to be as wide as before. Says
    /// whether anybody was on trial.
    pub(crate) fn confirmed(&mut self, now: Nanos, admitted: usize, workers: usize) -> bool {
        if self.on_trial == 0 {
            return false;
        }
        self.on_trial = 0;
        self.recalled = false;
        let more = self.reached.saturating_sub(admitted);
        self.step = (self.step * 2).max(more).min(workers.max(1));
        self.reached = self.reached.max(admitted);
        self.backoff = self.bounds.0;
        self.stirred(now);
        self.not_before = now;
        true
    }

    /// One of the `admitted` workers found nothing to do. Says whether one was on trial.
    pub(crate) fn failed(&mut self, now: Nanos, admitted: usize) -> bool {
        if self.on_trial == 0 {
            return false;
        }
        let useful = admitted.saturating_sub(self.on_trial).max(1);
        if self.on_trial > 1 && (self.recalled || useful > 1) {
            // Not as wide as before. A serial phase tells nothing of the next wide one.
            self.reached = self.reached.min(useful);
        }
        self.recalled = false;
        self.on_trial = 0;
        self.step = 1;
        let lasts = now - *self.failed_since.get_or_insert(now);
        let part = if self.is_still(now) { RARER } else { PAUSES };
        self.lull = (lasts / part).min(self.rarest);
        self.not_before = now + self.backoff.max(self.lull);
        self.backoff = (self.backoff * 2).min(self.bounds.1);
        true
    }

    /// What begins may be like what the pool last did.
    pub(crate) fn recall(&mut self) {
        self.step = self.step.max(self.reached - 1);
    }

    /// Idle workers were let go: whatever comes next may be narrow.
    pub(crate) fn shrunk(&mut self) {
        self.step = 1;
    }

    /// The pool went idle. Of its width the next call makes use, until a worker finds nothing to do.
    pub(crate) fn forget(&mut self) {
        self.on_trial = 0;
        self.recalled = false;
        self.backoff = self.bounds.0;
        self.end_lull();
        self.not_before = 0;
        self.asked = 0;
        self.explore_pause = self.bounds.0;
        self.explore_at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explorations_come_after_pauses_that_double_up_to_a_bound() {
        let mut growth = Growth::new((200, 4_000), 4_000);
        let times: Vec<_> = (0..120_000).filter(|&now| growth.explores(now)).collect();
        let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(pauses, [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 32_000, 32_000]);
    }

    #[test]
    fn rounds_that_found_nothing_are_tried_again_after_pauses_that_double_until_one_helps() {
        let mut growth = Growth::new((200, 1_000), 1_000);
        let mut pauses = |helps: bool| {
            growth.started(1);
            if helps {
                assert!(growth.confirmed(0, 2, 8));
            } else {
                assert!(growth.failed(0, 2));
            }
            growth.due().expect("it waits for no token")
        };
        assert_eq!([false; 5].map(&mut pauses), [200, 400, 800, 1_000, 1_000]);
        assert_eq!([true, false, false].map(&mut pauses), [0, 200, 400]);
    }

    #[test]
    fn in_a_lull_rounds_are_tried_ever_more_rarely_until_something_changes() {
        const RAREST: Nanos = 20_000;
        let mut growth = Growth::new((200, 4_000), RAREST);
        let (mut now, mut pauses) = (0, Vec::new());
        while now < 2 * PAUSES * RAREST {
            growth.started(1);
            assert!(growth.failed(now, 2));
            let due = growth.due().expect("it waits for no token");
            let part = if growth.is_still(now) { RARER } else { PAUSES };
            let usual = (now / part).clamp(4_000, RAREST);
            assert!(now < 8_000 || due - now == usual, "{} after {now}", due - now);
            assert_eq!(growth.is_lulled(), due - now > 4_000);
            pauses.push(due - now);
            now = due;
        }
        assert_eq!(pauses.last(), Some(&RAREST));
        now -= RAREST;
        growth.stirred(now);
        assert_eq!((growth.due(), growth.is_lulled()), (Some(now + 4_000), false));
        assert!(!growth.is_still(now + 4_000) && growth.is_still(now + PAUSES * 4_000));
    }

    #[test]
    fn a_round_is_judged_once() {
        let mut growth = Growth::new((200, 1_000), 1_000);
        growth.started(1);
        assert!(growth.failed(0, 2));
        assert_eq!((growth.failed(0, 2), growth.confirmed(0, 2, 8)), (false, false));
    }

    #[test]
    fn as_many_as_were_used_are_recalled_and_no_fewer_than_before() {
        let mut growth = Growth::new((200, 1_000), 1_000);
        let reached = [2, 4, 3].map(|admitted| {
            growth.used(admitted);
            growth.forget();
            growth.reached()
        });
        assert_eq!(reached, [2, 4, 4]);
    }

    #[test]
    fn workers_that_were_called_back_are_judged_as_such_once() {
        for helps in [false, true] {
            let mut growth = Growth::new((200, 1_000), 1_000);
            growth.recalled(1);
            assert!(if helps { growth.confirmed(0, 2, 8) } else { growth.failed(0, 2) });
            growth.started(7);
            assert!(growth.confirmed(0, 8, 8));
            growth.started(7);
            assert!(growth.failed(0, 8));
            assert_eq!(growth.reached(), 8, "a serial phase tells nothing");
        }
    }
}
