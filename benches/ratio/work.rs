//! The work that is measured.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::harness::Work;

type Enter<'a> = &'a (dyn Fn(&(dyn Fn() + Sync)) + Sync);

/// Computes for about `time`, by a number of steps that was measured once.
fn compute(time: Duration) {
    let steps = (time.as_secs_f64() * steps_per_second()) as u64;
    let mut state = 1_u64;
    for step in 0..steps {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
    }
}

fn steps_per_second() -> f64 {
    static SPEED: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    *SPEED.get_or_init(|| {
        let best = (0..5).map(|_| {
            let begin = Instant::now();
            let mut state = 1_u64;
            for step in 0..2_000_000 {
                state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
            }
            begin.elapsed()
        });
        2e6 / best.min().map_or(1.0, |best| best.as_secs_f64())
    })
}

/// What a leaf does: compute, or sleep in place of a core that this machine lacks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Leaf {
    Compute,
    Virtual,
}

impl Leaf {
    fn run(self, time: Duration) {
        match self {
            Leaf::Compute => compute(time),
            Leaf::Virtual => thread::sleep(time),
        }
    }
}

/// A recursive join of `leaves` leaves.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) leaf: Leaf,
    /// Leaves for each worker of the width, rounded up to a power of two in all.
    pub(crate) leaves_per_worker: usize,
    pub(crate) leaf_time: Duration,
}

impl Work for Join {
    fn name(&self) -> String {
        format!("join, {}/worker x {:?} {:?}", self.leaves_per_worker, self.leaf_time, self.leaf)
    }

    fn run(&self, width: usize, enter: Enter<'_>) {
        let leaves = (width * self.leaves_per_worker).next_power_of_two();
        enter(&|| self.tree(leaves));
    }
}

impl Join {
    fn tree(&self, leaves: usize) {
        if leaves <= 1 {
            self.leaf.run(self.leaf_time);
        } else {
            rayon::join(|| self.tree(leaves / 2), || self.tree(leaves - leaves / 2));
        }
    }
}

/// Sorts numbers.
#[derive(Debug)]
pub(crate) struct Sort(pub(crate) usize);

impl Work for Sort {
    fn name(&self) -> String {
        format!("sort {} numbers", self.0)
    }

    fn run(&self, _: usize, enter: Enter<'_>) {
        let numbers: Vec<u64> = (0..self.0 as u64)
            .map(|index| index.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17))
            .collect();
        enter(&|| {
            let mut numbers = numbers.clone();
            numbers.par_sort_unstable();
            black_box(&numbers);
        });
    }
}

/// Many short parallel sections, each entered from outside.
#[derive(Debug)]
pub(crate) struct Sections {
    pub(crate) sections: usize,
    pub(crate) time: Duration,
}

impl Work for Sections {
    fn name(&self) -> String {
        format!("{} sections of {:?}", self.sections, self.time)
    }

    fn run(&self, _: usize, enter: Enter<'_>) {
        for _ in 0..self.sections {
            enter(&|| {
                let half = self.time / 2;
                rayon::join(|| compute(half), || compute(half));
            });
        }
    }
}

/// Serial and wide phases in turn, all within one call.
#[derive(Debug)]
pub(crate) struct Phases {
    pub(crate) leaf: Leaf,
    pub(crate) phases: usize,
    pub(crate) serial: Duration,
    /// Leaves of a wide phase for each worker.
    pub(crate) leaves: usize,
    pub(crate) leaf_time: Duration,
}

impl Work for Phases {
    fn name(&self) -> String {
        format!(
            "{} x ({:?}, {} x {:?}) {:?}",
            self.phases, self.serial, self.leaves, self.leaf_time, self.leaf
        )
    }

    fn run(&self, width: usize, enter: Enter<'_>) {
        enter(&|| {
            for _ in 0..self.phases {
                self.leaf.run(self.serial);
                (0..self.leaves * width)
                    .into_par_iter()
                    .with_max_len(1)
                    .for_each(|_| self.leaf.run(self.leaf_time));
            }
        });
    }
}
