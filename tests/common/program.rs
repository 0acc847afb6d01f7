//! Random fork-join programs: the same seed is the same program, and it has one right result.

use std::thread;
use std::time::Duration;

use rayon::prelude::*;

/// A program, as a tree.
#[derive(Debug)]
pub(crate) enum Program {
    Leaf { steps: u64, sleep: Duration },
    Join(Box<Program>, Box<Program>),
    Scope(Vec<Program>),
    Iterate(Vec<Program>),
}

/// A generator of random numbers, small and repeatable (xorshift64*).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

impl Program {
    /// A program of at most `size` leaves.
    pub(crate) fn random(random: &mut Random, size: u64) -> Program {
        if size <= 1 {
            // Half of the leaves compute only, a quarter sleeps, up to a third of a millisecond.
            let steps = random.below(40_000);
            let sleeps = random.below(4) == 0;
            let sleep = Duration::from_micros(if sleeps { random.below(300) } else { 0 });
            return Program::Leaf { steps, sleep };
        }
        let parts = |random: &mut Random| {
            let count = 1 + random.below(size.min(9));
            (0..count).map(|_| Program::random(random, size / count)).collect()
        };
        match random.below(4) {
            0 | 1 => {
                let left = 1 + random.below(size - 1);
                let first = Program::random(random, left);
                Program::Join(Box::new(first), Box::new(Program::random(random, size - left)))
            }
            2 => Program::Scope(parts(random)),
            _ => Program::Iterate(parts(random)),
        }
    }

    /// Runs on the current thread alone.
    pub(crate) fn run_serially(&self) -> u64 {
        match self {
            Program::Leaf { steps, sleep } => leaf(*steps, *sleep),
            Program::Join(left, right) => mix([left.run_serially(), right.run_serially()]),
            Program::Scope(parts) | Program::Iterate(parts) => {
                mix(parts.iter().map(Program::run_serially))
            }
        }
    }

    /// Runs on the current pool; each leaf is wrapped in `around`.
    pub(crate) fn run(&self, around: &(impl Fn(&dyn Fn() -> u64) -> u64 + Sync)) -> u64 {
        match self {
            Program::Leaf { steps, sleep } => around(&|| leaf(*steps, *sleep)),
            Program::Join(left, right) => {
                let (left, right) = rayon::join(|| left.run(around), || right.run(around));
                mix([left, right])
            }
            Program::Scope(parts) => {
                let mut results = vec![0; parts.len()];
                rayon::scope(|scope| {
                    for (part, result) in parts.iter().zip(&mut results) {
                        scope.spawn(move |_| *result = part.run(around));
                    }
                });
                mix(results)
            }
            Program::Iterate(parts) => {
                mix(parts.par_iter().map(|part| part.run(around)).collect::<Vec<_>>())
            }
        }
    }
}

fn leaf(steps: u64, sleep: Duration) -> u64 {
    let mut state = steps;
    for step in 0..steps {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step);
    }
    if !sleep.is_zero() {
        thread::sleep(sleep); // a leaf that waits, not a wait for anything
    }
    state
}

/// Combines results so that their order matters.
pub(crate) fn mix(results: impl IntoIterator<Item = u64>) -> u64 {
    results.into_iter().fold(17, |all, one| all.rotate_left(7) ^ one.wrapping_mul(31))
}
