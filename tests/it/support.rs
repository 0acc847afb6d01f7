//! What the tests have in common.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder};

#[path = "../common/watchdog.rs"]
pub(crate) mod watchdog;

use watchdog::WATCHDOG;
pub(crate) use watchdog::must_end;

/// A pool of `workers` workers on `tokens` tokens of its own.
pub(crate) fn pool(workers: usize, tokens: usize) -> ThreadPool {
    let jobserver = Jobserver::new(tokens);
    let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver);
    // Leaves sleep in place of cores.
    builder.detect_blocking(None).build().expect("a pool of a sane size can be built")
}

/// Counts how many jobs run at once.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
}

impl Gauge {
    /// Runs a leaf: a piece of a job that waits for no other job.
    pub(crate) fn leaf<R>(&self, work: impl FnOnce() -> R) -> R {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::SeqCst);
        let result = work();
        self.now.fetch_sub(1, Ordering::SeqCst);
        result
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    pub(crate) fn total(&self) -> usize {
        self.total.load(Ordering::SeqCst)
    }
}

/// A leaf that waits in place of a core this machine lacks.
pub(crate) fn virtual_core(time: Duration) {
    thread::sleep(time); // a leaf, not a wait for anything
}

/// Joins within joins, `depth` deep, with a leaf at each end; returns how many leaves that were.
pub(crate) fn tree(gauge: &Gauge, leaf: Duration, depth: u32) -> usize {
    if depth == 0 {
        return gauge.leaf(|| {
            virtual_core(leaf);
            1
        });
    }
    let half = || tree(gauge, leaf, depth - 1);
    let (left, right) = rayon::join(half, half);
    left + right
}

/// The message of a panic; empty if its payload is none.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// The message that `call` panics with, as it must.
pub(crate) fn panic_of(call: impl FnOnce()) -> String {
    message(&*catch_unwind(AssertUnwindSafe(call)).expect_err("it must panic"))
}

/// Waits until `condition` holds, and fails if it never does.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !condition() {
        assert!(begin.elapsed() < WATCHDOG, "never: {what}");
        thread::yield_now();
    }
}
