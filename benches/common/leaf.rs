//! What a job does: compute, or sleep in place of a core that the machine lacks.

use std::hint::black_box;
use std::sync::OnceLock;
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
            Leaf::Sleep => virtual_core(time, Duration::from_millis(1)),
        }
    }

    /// The same where no other job runs meanwhile: then a virtual core need not spare the real ones.
    pub(crate) fn run_alone(self, time: Duration) {
        match self {
            Leaf::Compute => compute(time),
            Leaf::Sleep => virtual_core(time, Duration::from_micros(200)),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Leaf::Compute => "computing",
            Leaf::Sleep => "sleeping",
        }
    }
}

/// Sleeps a slice at a time, so that a long job's clock moves as that of one that computes: by that a
/// pool tells a worker that is busy from one that is idle.
fn virtual_core(time: Duration, slice: Duration) {
    let begin = Instant::now();
    while let Some(rest) = time.checked_sub(begin.elapsed()).filter(|rest| !rest.is_zero()) {
        // A rest too short for a slice of its own goes with the last one.
        thread::sleep(if rest < 2 * slice { rest } else { slice });
    }
}

/// Computes by a number of steps, so that everybody does the same however busy the machine is.
fn compute(time: Duration) {
    step((time.as_secs_f64() * steps_per_second()) as u64);
}

/// Tells a child process the speed; it would measure another while its siblings run.
pub(crate) const SPEED: &str = "BENCH_STEPS_PER_SECOND";

/// How fast a core is: told by the parent process, or measured once.
pub(crate) fn steps_per_second() -> f64 {
    static STEPS_PER_SECOND: OnceLock<f64> = OnceLock::new();
    *STEPS_PER_SECOND.get_or_init(|| {
        let told = std::env::var(SPEED).ok().and_then(|speed| speed.parse().ok());
        told.unwrap_or_else(|| {
            let best = (0..9).map(|_| {
                let begin = Instant::now();
                step(2_000_000);
                begin.elapsed()
            });
            2e6 / best.min().map_or(1.0, |best| best.as_secs_f64())
        })
    })
}

fn step(steps: u64) {
    let mut state = 1_u64;
    for step in 0..steps {
        state = black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step));
    }
}
