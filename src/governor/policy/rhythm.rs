//! Loops of calls, in which the pool's time is looked after at regular intervals instead of exactly.
//!
//! Each call that begins or ends moves the next deadline. To set a timer anew for that, from the
//! thread that calls, costs up to 60 µs of a core on a virtual machine, presumably by interrupts that
//! come for nothing and by what they do to an idle core's polling: loops of sections of 16 and 100 µs were 1.1
//! to 1.3 times as slow as stock rayon. A governor that wakes by itself once a millisecond costs a few
//! hundredths. Where calls are longer than that timer is worth, it is set.

use super::{Nanos, Policy};

/// Whether calls come one after another.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// When a call last began or ended.
    last: Nanos,
    /// How many have done so in close succession.
    row: u32,
    /// In a loop, when the pool is to be looked after next.
    patrol: Option<Nanos>,
}

/// So many beginnings and ends in close succession make a loop.
const LOOP: u32 = 4;

impl Rhythm {
    /// Notes that a call `begins` or ends. One that begins within `patience` of another, or ends within
    /// twice that, belongs to one loop with it.
    fn beat(&mut self, now: Nanos, patience: Nanos, begins: bool) {
        let close = if begins { patience } else { 2 * patience };
        self.row = if now - self.last < close { self.row + 1 } else { 0 };
        self.last = now;
        if self.row >= LOOP {
            self.patrol.get_or_insert(now + 2 * patience);
        }
    }

    /// When the pool is to be looked after, in a loop of calls.
    pub(super) fn patrol(&self) -> Option<Nanos> {
        self.patrol
    }

    /// The pool is looked after: plans the next time, or notes that the loop is over. `idle` says
    /// that no call is under way.
    fn patrolled(&mut self, now: Nanos, patience: Nanos, idle: bool) {
        if self.patrol.is_none_or(|at| at > now) {
            return;
        }
        // Whoever waits for a token need not wait longer than without the loop but for one patrol.
        let (next, close) = if idle {
            (self.last + patience, patience)
        } else {
            (now + 2 * patience, 2 * patience)
        };
        let over = next <= now || now - self.last >= close;
        self.patrol = Some(next).filter(|_| !over);
        if over {
            self.row = 0;
        }
    }
}

impl Policy {
    /// A call or job from outside has just begun, if it `begins`, or ended.
    pub(super) fn note_call(&mut self, now: Nanos, begins: bool) {
        self.rhythm.beat(now, self.knobs.patience.0, begins);
        self.touch(now);
    }

    /// Sees to whether a loop of calls goes on.
    pub(super) fn patrol(&mut self, now: Nanos) {
        let idle = self.engaged == 0;
        self.rhythm.patrolled(now, self.knobs.patience.0, idle);
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

    #[test]
    fn a_loop_is_looked_after_at_regular_intervals_however_many_calls_there_are() {
        let mut rhythm = Rhythm::default();
        calls(&mut rhythm, 10, 900);
        assert_eq!(rhythm.patrol(), Some(30 + 2 * PATIENCE), "since it is a loop");
        rhythm.patrolled(1_030, PATIENCE, false);
        assert_eq!(rhythm.patrol(), Some(1_030 + 2 * PATIENCE));
    }

    #[test]
    fn a_loop_is_one_of_short_gaps_rather_than_of_short_calls() {
        let mut rhythm = Rhythm::default();
        let long = PATIENCE * 3 / 2;
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
        rhythm.patrolled(1_030, PATIENCE, true);
        assert_eq!(rhythm.patrol(), Some(900 + PATIENCE), "exactly, between two calls");
        rhythm.patrolled(1_400, PATIENCE, true);
        assert_eq!(rhythm.patrol(), None);
    }

    #[test]
    fn a_long_call_ends_a_loop_and_calls_far_apart_make_none() {
        let mut rhythm = Rhythm::default();
        calls(&mut rhythm, 10, 900);
        rhythm.patrolled(1_900, PATIENCE, false);
        assert_eq!(rhythm.patrol(), None);
        let mut rhythm = Rhythm::default();
        calls(&mut rhythm, PATIENCE, 40 * PATIENCE);
        assert_eq!(rhythm.patrol(), None);
    }
}
