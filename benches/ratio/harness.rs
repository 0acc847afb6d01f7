//! Runs the same work on two pools in turn and prints the ratio of the medians.

use std::process::Command;
use std::time::{Duration, Instant};

use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder};

/// One row: stock rayon with as many threads as ours may run workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) workers: usize,
    pub(crate) tokens: usize,
}

impl Shape {
    /// Workers that may run at once.
    pub(crate) fn width(self) -> usize {
        self.workers.min(self.tokens + 1)
    }
}

/// Something that can be measured on either pool: it is run within `install`.
pub(crate) trait Work: Sync {
    fn name(&self) -> String;

    /// Runs once, as wide as `width` workers make sensible. `enter` runs a section in the pool.
    fn run(&self, width: usize, enter: &(dyn Fn(&(dyn Fn() + Sync)) + Sync));
}

/// Measures and prints one row, and returns the ratio.
pub(crate) fn row(work: &dyn Work, shape: Shape, rounds: usize) -> f64 {
    let width = shape.width();
    let stock = rayon::ThreadPoolBuilder::new().num_threads(width).build();
    let stock = stock.expect("stock rayon builds a pool of this size");
    let ours = gated(shape);
    let on_stock = || time(|| work.run(width, &|section| stock.install(section)));
    let on_ours = || time(|| work.run(width, &|section| ours.install(section)));
    // Once each to warm caches and threads; then in turn, so that both meet the same machine.
    on_stock();
    on_ours();
    let (mut theirs, mut our) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Whoever comes second finds warmer caches.
        if round % 2 == 0 {
            theirs.push(on_stock());
            our.push(on_ours());
        } else {
            our.push(on_ours());
            theirs.push(on_stock());
        }
    }
    let (stock_median, our_median) = (median(&mut theirs), median(&mut our));
    let ratio = our_median.as_secs_f64() / stock_median.as_secs_f64();
    let stats = ours.stats();
    println!(
        "{:34} {:4} {:4} {:>10.3} {:>10.3} {:>7.3} {:>9} {:>9}",
        work.name(),
        shape.workers,
        shape.tokens,
        stock_median.as_secs_f64() * 1e3,
        our_median.as_secs_f64() * 1e3,
        ratio,
        stats.admissions,
        stats.probes,
    );
    ratio
}

pub(crate) fn header() {
    println!(
        "{:34} {:>4} {:>4} {:>10} {:>10} {:>7} {:>9} {:>9}",
        "work", "n", "k", "stock ms", "ours ms", "ratio", "admitted", "probes"
    );
}

fn gated(shape: Shape) -> ThreadPool {
    let jobserver = Jobserver::new(shape.tokens);
    // Passed on to a child that is never started, it is a real pipe, as in a build.
    jobserver.configure(&mut Command::new("true")).expect("a pipe can be made");
    let builder = ThreadPoolBuilder::new().num_threads(shape.workers).jobserver(jobserver);
    builder.detect_blocking(None).build().expect("ours builds a pool of this size")
}

fn time(run: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    run();
    begin.elapsed()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
