//! Loops of calls, in which the pool's time is looked after at regular intervals instead of exactly.
//!
//! Each call that begins or ends moves the next deadline. To set a timer anew for that, from the
//! thread that calls, costs up to 60 µs of a core on a virtual machine, presumably by interrupts that
//! come for nothing and by what they do to an idle core's polling: loops of sections of 16 and 100 µs were 1.1
//! to 1.3 times as slow as stock rayon. A governor that wakes by itself once a millisecond costs a tenth of
//! such a loop on two cores, since its workers and the caller fall out of step each time. So the calls themselves put
//! the timer off, now and then. Where calls are longer than that timer is worth, it is set.

use super::pulse::{Felt, USED};
use super::{Nanos, Orders, Phase, Policy};

/// Whether calls come one after another.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// When a call last began or ended.
    last: Nanos,
    /// How many have done so in close succession, and since when.
    row: u32,
    since: Nanos,
    /// In a loop, when the pool is to be looked after next.
    patrol: Option<Nanos>,
}

/// So many beginnings and ends in close succession make a loop.
const LOOP: u32 = 4;

/// How long a call of a loop may be, and the bounds of the pause between two patrols, in units of what may
/// lie between two calls.
const LONGEST: Nanos = 4;
pub(super) const PAUSE: (Nanos, Nanos) = (2, 16);

impl Rhythm {
    /// Notes that a call `begins` or ends. One that begins within `patience` of another, or ends within
    /// four times that, belongs to one loop with it.
    fn beat(&mut self, now: Nanos, patience: Nanos, begins: bool) {
        let close = if begins { patience } else { LONGEST * patience };
        if now - self.last < close {
            self.row += 1;
        } else {
            self.row = 0;
            self.since = now;
        }
        self.last = now;
        if self.row >= LOOP {
            self.patrol.get_or_insert(now + PAUSE.0 * patience);
        }
    }

    /// When the pool is to be looked after, in a loop of calls.
    pub(super) fn patrol(&self) -> Option<Nanos> {
        self.patrol
    }

    /// For how long a loop has gone on.
    pub(super) fn lasted(&self, now: Nanos) -> Nanos {
        if self.patrol.is_some() { now - self.since } else { 0 }
    }

    /// The pause before the next patrol: twice the time for which the loop has gone on, within bounds, so that
    /// tokens lie idle after its end for no longer than twice as long as it took. As short as can be where
    /// others are known to want them.
    fn pause(&self, now: Nanos, patience: Nanos, wanted: bool) -> Nanos {
        let (least, most) = (PAUSE.0 * patience, PAUSE.1 * patience);
        if wanted { least } else { (2 * (now - self.since)).clamp(least, most) }
    }

    /// Whether half of the pause to the next patrol has passed, or more.
    fn is_half_over(&self, now: Nanos, patience: Nanos) -> bool {
        let half = self.pause(now, patience, false) / 2;
        self.patrol.is_some_and(|at| now < at && at <= now + half)
    }

    /// The loop goes on, and there is nothing to look after: plans the next time.
    fn put_off(&mut self, now: Nanos, patience: Nanos) {
        self.patrol = Some(now + self.pause(now, patience, false));
    }

    /// The pool is looked after: plans the next time, or notes that the loop is over. `idle` says
    /// that no call is under way, and `wanted` that others are known to want idle tokens.
    fn patrolled(&mut self, now: Nanos, patience: Nanos, idle: bool, wanted: bool) {
        if self.patrol.is_none_or(|at| at > now) {
            return;
        }
        let pause = self.pause(now, patience, wanted);
        // Whoever waits for a token need not wait longer than without the loop but for one patrol.
        let (next, close) = if idle {
            let soon = now + (pause / 4).saturating_sub(PAUSE.0 * patience) / 2;
            (soon.max(self.last + patience), patience)
        } else {
            (now + pause, LONGEST * patience)
        };
        let over = now - self.last >= close;
        self.patrol = Some(next).filter(|_| !over);
        if over {
            self.row = 0;
        }
    }
}

impl Policy {
    /// A call or job from outside has just begun, if it `begins`, or ended.
    pub(super) fn note_call(&mut self, now: Nanos, begins: bool, out: &mut Orders) {
        let patience = self.knobs.patience.0;
        // What is left to do once the pool was dropped is no loop.
        if !self.draining {
            self.rhythm.beat(now, patience, begins);
        }
        self.touch(now);
        if self.rhythm.is_half_over(now, patience)
            && self.phase == Phase::Slack
            && !self.needs_patrol(now)
        {
            self.rhythm.put_off(now, patience);
            out.put_off = true;
        }
    }

    /// Whether the governor's thread is to look after the pool when it next meant to, however the loop goes on: whoever
    /// waits for a token need not wait any longer, and what else is due does not wait for the loop's end.
    fn needs_patrol(&self, now: Nanos) -> bool {
        self.release.is_wanted()
            || self.measure_due().is_some()
            || self.unhurried().is_some_and(|at| at <= now)
    }

    /// Sees to whether a loop of calls goes on.
    pub(super) fn patrol(&mut self, now: Nanos) {
        let (idle, wanted) = (self.engaged == 0, self.release.is_wanted());
        self.rhythm.patrolled(now, self.knobs.patience.0, idle, wanted);
    }

    /// When it is looked next whether all workers of a loop are of use, if more are admitted than are known to have
    /// been. Where its calls are short they never lie all busy for long enough to saturate the pool.
    pub(super) fn measure_due(&self) -> Option<Nanos> {
        let unknown = self.admitted > self.growth.reached() && !self.heart.blind;
        // While a probe lies there, what has run since it was posted is told by the same look.
        let measurable = self.phase == Phase::Slack && !self.is_silent();
        self.rhythm.patrol().filter(|_| unknown && measurable)
    }

    /// So much they have run since `elapsed` ago.
    pub(super) fn measured(&mut self, felt: Felt, elapsed: Nanos) {
        if felt.active > 1 && USED * felt.least >= elapsed {
            self.growth.used(self.admitted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Nanos = 500;

    /// A loop of calls of this length, as close to each other as can be, until `end`.
    fn calls(rhythm: &mut Rhythm, length: Nanos, end: Nanos) {
        (0..=end / length).for_each(|call| rhythm.beat(call * length, PATIENCE, call % 2 == 0));
    }

    /// How long it is to the next patrol in each of the first ones of a loop of calls.
    fn pauses(wanted: bool) -> Vec<Nanos> {
        let mut rhythm = Rhythm::default();
        let mut pauses = Vec::new();
        let mut patrol = 0;
        for now in (0..20_000).step_by(10) {
            rhythm.beat(now, PATIENCE, now % 20 == 0);
            rhythm.patrolled(now, PATIENCE, false, wanted);
            let next = rhythm.patrol().unwrap_or(0);
            if next != patrol {
                pauses.push(next - now);
                patrol = next;
            }
        }
        pauses
    }

    #[test]
    fn a_loop_is_looked_after_the_less_often_the_longer_it_goes_on() {
        let (least, most) = (2 * PATIENCE, 16 * PATIENCE);
        let pauses = pauses(false);
        assert_eq!(pauses[..2], [least, 2 * 1_030], "since it is a loop, and after the first time");
        assert!(pauses.is_sorted() && pauses.iter().all(|pause| (least..=most).contains(pause)));
        assert_eq!(pauses.last(), Some(&most));
    }

    #[test]
    fn a_loop_is_looked_after_at_regular_intervals_where_others_want_tokens() {
        let pauses = pauses(true);
        assert!(pauses.len() > 15 && pauses.iter().all(|&pause| pause == 2 * PATIENCE));
    }

    #[test]
    fn a_loop_is_one_of_short_gaps_rather_than_of_short_calls() {
        let mut rhythm = Rhythm::default();
        let long = PATIENCE * 7 / 2;
        for call in 0..4 {
            rhythm.beat(call * (long + 10), PATIENCE, true);
            rhythm.beat(call * (long + 10) + long, PATIENCE, false);
        }
        assert!(rhythm.patrol().is_some());
        let mut rhythm = Rhythm::default();
        for call in 0..4 {
            rhythm.beat(call * (long + 10), PATIENCE, true);
            rhythm.beat(call * (long + 10) + 10, PATIENCE, false);
        }
        assert_eq!(rhythm.patrol(), None);
    }

    #[test]
    fn the_end_of_a_loop_is_found_out_by_the_next_patrol() {
        let mut rhythm = Rhythm::default();
        calls(&mut rhythm, 10, 900);
        rhythm.patrolled(1_030, PATIENCE, true, false);
        assert_eq!(rhythm.patrol(), Some(900 + PATIENCE), "exactly, between two calls");
        rhythm.patrolled(1_400, PATIENCE, true, false);
        assert_eq!(rhythm.patrol(), None);
    }

    #[test]
    fn a_long_call_ends_a_loop_and_calls_far_apart_make_none() {
        let mut rhythm = Rhythm::default();
        calls(&mut rhythm, 10, 900);
        rhythm.patrolled(900 + LONGEST * PATIENCE, PATIENCE, false, false);
        assert_eq!(rhythm.patrol(), None);
        let mut rhythm = Rhythm::default();
        calls(&mut rhythm, PATIENCE, 40 * PATIENCE);
        assert_eq!(rhythm.patrol(), None);
    }
}
