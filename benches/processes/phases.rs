//! What each process does: serial and wide phases in turn.

use std::time::Duration;

use crate::leaf::Leaf;

/// The phases of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phases {
    pub(crate) leaf: Leaf,
    /// How often a serial phase and a wide one follow each other.
    pub(crate) rounds: u32,
    pub(crate) serial: Duration,
    /// Leaves of a wide phase.
    pub(crate) leaves: u32,
    pub(crate) time: Duration,
}

impl Phases {
    /// Those of the process of this number among its siblings.
    pub(crate) fn of(leaf: Leaf, alike: bool, number: usize, quick: bool) -> Self {
        // Where leaves compute they last a fifth, since two cores must do with all of them.
        let unit = Duration::from_micros(if leaf == Leaf::Compute { 1_000 } else { 5_000 });
        // The widest of unlike processes are the ones with the shortest serial phases.
        let (serial, leaves) =
            if alike { (4, 48) } else { [(8, 12), (4, 24), (2, 48), (1, 96)][number % 4] };
        let rounds = if quick { 3 } else { 10 };
        Phases { leaf, rounds, serial: unit * serial, leaves, time: unit }
    }

    /// All its work, one after the other.
    pub(crate) fn work(self) -> Duration {
        (self.serial + self.time * self.leaves) * self.rounds
    }

    /// What it takes alone on so many cores: a wide phase cannot begin before the serial one ends.
    pub(crate) fn path(self, cores: usize) -> Duration {
        let cores = u32::try_from(cores).expect("fewer cores than leaves");
        (self.serial + self.time * self.leaves.div_ceil(cores)) * self.rounds
    }
}
