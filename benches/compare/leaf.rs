//! What a job does: compute, or sleep in place of a core that the machine lacks.

use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    Compute,
    /// A virtual core: it shows scheduling at widths that this machine lacks.
    Sleep,
}

impl Leaf {
    /// Takes about `time` of a core, if only of a virtual one.
    pub(crate) fn run(self, time: Duration) {
        match self {
            Leaf::Compute => compute(time),
            Leaf::Sleep => thread::sleep(time),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Leaf::Compute => "computing",
            Leaf::Sleep => "sleeping",
        }
    }
}

/// Computes by a number of steps that was measured once, so that all contenders do the same.
fn compute(time: Duration) {
    static STEPS_PER_SECOND: OnceLock<f64> = OnceLock::new();
    let speed = STEPS_PER_SECOND.get_or_init(|| {
        let best = (0..9).map(|_| {
            let begin = Instant::now();
            step(2_000_000);
            begin.elapsed()
        });
        2e6 / best.min().map_or(1.0, |best| best.as_secs_f64())
    });
    step((time.as_secs_f64() * speed) as u64);
}

fn step(steps: u64) {
    let mut state = 1_u64;
    for step in 0..steps {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
    }
}

/// Leaves of one run, and the most of them at once.
#[derive(Debug)]
pub(crate) struct Jobs {
    leaf: Leaf,
    running: AtomicUsize,
    peak: AtomicUsize,
}

impl Jobs {
    pub(crate) fn new(leaf: Leaf) -> Self {
        Jobs { leaf, running: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// Runs one. Only sleeping ones are counted: beside their length that costs nothing.
    pub(crate) fn run(&self, time: Duration) {
        if self.leaf == Leaf::Compute {
            return self.leaf.run(time);
        }
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(running, Ordering::SeqCst);
        self.leaf.run(time);
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn peak(&self) -> Option<usize> {
        (self.leaf == Leaf::Sleep).then(|| self.peak.load(Ordering::SeqCst))
    }
}
