//! Chance: everything random in a run comes from one seed.

use super::{MICROSECOND, MILLISECOND, Nanos};

/// A small generator (splitmix64), so that a seed means the same run on every machine.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Dice(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    pub(super) fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// How long threads take to get going.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// In a thousand steps or wake-ups, how many the machine is too crowded for.
    pub(super) crowded: u64,
    /// How long it then takes at most.
    pub(super) stall: Nanos,
    /// How long a thread that is woken takes else.
    pub(super) wake: (Nanos, Nanos),
    /// What a look for work costs that finds none.
    pub(super) look: Nanos,
}

impl Weather {
    /// Nothing but the pools has a use for the cores.
    pub(super) const CALM: Self = Weather {
        crowded: 0,
        stall: 0,
        wake: (2 * MICROSECOND, 40 * MICROSECOND),
        look: 2 * MICROSECOND,
    };

    /// Threads are slow to wake and to look for work, as beside a busy process, but never wait long for a core.
    pub(super) const SLUGGISH: Self = Weather {
        wake: (50 * MICROSECOND, 400 * MICROSECOND),
        look: 30 * MICROSECOND,
        ..Weather::CALM
    };

    /// From one step of a running thread to its next, if it has a core.
    pub(super) fn hop(self, dice: &mut Dice) -> Nanos {
        dice.between(100, 800)
    }

    /// From the call that wakes a thread to its first step, if it has a core.
    pub(super) fn wake(self, dice: &mut Dice) -> Nanos {
        dice.between(self.wake.0, self.wake.1)
    }

    /// How long a thread waits for a core.
    pub(super) fn stall(self, dice: &mut Dice) -> Nanos {
        if self.crowded > 0 && dice.next() % 1000 < self.crowded {
            dice.between(0, self.stall)
        } else {
            0
        }
    }

    pub(super) fn random(dice: &mut Dice) -> Self {
        let crowded = dice.pick(&[0, 0, 2, 20, 200]);
        let stall = dice.pick(&[MILLISECOND, 4 * MILLISECOND]);
        let usual = if dice.percent(20) { Weather::SLUGGISH } else { Weather::CALM };
        Weather { crowded, stall: if crowded > 0 { stall } else { 0 }, ..usual }
    }
}
