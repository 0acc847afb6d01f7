//! What a call, a broadcast and memory cost as workers and pools become many.
//!
//! `cargo bench --bench scaling -- [--quick] [--record FOLDER] [FILTER...]` prints medians beside stock
//! rayon's: with two threads, as many as ours may run, and with all of ours' threads, so that it shows
//! what is rayon's own cost of a wide pool. A filter is for `calls`, `pools`,
//! `search` or `memory`.

#[path = "common/args.rs"]
mod args;
#[path = "common/csv.rs"]
mod csv;
#[path = "common/figure.rs"]
mod figure;
#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/stats.rs"]
mod stats;

use std::error::Error;
use std::fs;
use std::num::NonZeroI32;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use args::Options;
use figures::Figures;
use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder};
use stats::Quartiles;

const WIDTHS: [usize; 5] = [2, 16, 64, 256, 1_024];
const POOLS: [usize; 4] = [1, 4, 16, 64];
const CALLS: usize = 2_000;
const QUICK_CALLS: usize = 200;

/// Set in a copy whose memory is looked at, to `ours` or `stock`, and to the number of workers.
const MEMORY: &str = "SCALING_MEMORY";

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(which) = std::env::var(MEMORY) {
        return weigh(&which);
    }
    let options = Options::parse()?;
    machine::describe(&options)?;
    let mut figures = Figures::default();
    let calls = if options.quick { QUICK_CALLS } else { CALLS };
    if options.wants("calls") {
        wide(&mut figures, calls)?;
    }
    if options.wants("pools") {
        many(&mut figures, calls)?;
    }
    if options.wants("search") {
        searches(&mut figures, if options.quick { 10 } else { 100 })?;
    }
    if options.wants("memory") {
        heavy(&mut figures)?;
    }
    Ok(figures.record(&options)?)
}

/// Calls as workers become many.
fn wide(figures: &mut Figures, calls: usize) -> Result<(), Box<dyn Error>> {
    for workers in WIDTHS {
        let ours = gated(workers, &budget()?)?;
        let narrow = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
        let wide = rayon::ThreadPoolBuilder::new().num_threads(workers).build()?;
        let what = format!("a call with {workers} workers");
        let mut note = |who, micros| figures.note(format!("{what}: {who}"), micros, "µs", ..);
        note("ours", call(calls, || ours.install(|| rayon::join(|| (), || ()))));
        note("stock of 2 threads", call(calls, || narrow.install(|| rayon::join(|| (), || ()))));
        note("stock of as many", call(calls, || wide.install(|| rayon::join(|| (), || ()))));
    }
    Ok(())
}

/// Calls as pools become many, each on the next of them.
fn many(figures: &mut Figures, calls: usize) -> Result<(), Box<dyn Error>> {
    for count in POOLS {
        let jobserver = budget()?;
        let pools: Vec<_> = (0..count).map(|_| gated(16, &jobserver)).collect::<Result<_, _>>()?;
        let mut next = pools.iter().cycle();
        let each =
            call(calls, || next.next().map(|pool| pool.install(|| rayon::join(|| (), || ()))));
        figures.note(format!("a call on {count} pools of 16 workers in turn"), each, "µs", ..);
    }
    Ok(())
}

/// What a worker of stock rayon runs to find that there is nothing to do, before it sleeps.
fn searches(figures: &mut Figures, times: usize) -> Result<(), Box<dyn Error>> {
    for workers in WIDTHS.into_iter().filter(|&workers| workers <= 256) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build()?;
        let search = || -> Result<f64, Box<dyn Error>> {
            let (send, receive) = mpsc::channel();
            pool.spawn(move || {
                let thread = rustix::thread::gettid().as_raw_nonzero();
                // A thread that nobody waits for any more has nothing to tell.
                let _ = send.send((thread, run_by(thread).map_err(|error| error.to_string())));
            });
            let (thread, before) = receive.recv()?;
            thread::sleep(Duration::from_millis(5)); // it falls asleep, and is to be left alone
            Ok((run_by(thread)? - before?) / 1e3)
        };
        let found = (0..times).map(|_| search()).collect::<Result<Vec<_>, _>>()?;
        let [_, median, most] = Quartiles::of(found).0;
        let what = format!("a worker of {workers} of stock rayon finds nothing to do");
        figures.note(format!("{what}: median"), median, "µs", ..);
        figures.note(format!("{what}: three in four at most"), most, "µs", ..);
    }
    Ok(())
}

/// Nanoseconds that a thread of this process has run.
fn run_by(thread: NonZeroI32) -> Result<f64, Box<dyn Error>> {
    let told = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"))?;
    Ok(told.split_whitespace().next().ok_or("no number")?.parse()?)
}

/// Memory as workers become many.
fn heavy(figures: &mut Figures) -> Result<(), Box<dyn Error>> {
    for workers in WIDTHS {
        let (ours, stock) = (memory("ours", workers)?, memory("stock", workers)?);
        let what = format!("memory with {workers} workers");
        figures.note(format!("{what}: ours"), ours, "KiB", ..);
        figures.note(format!("{what}: stock"), stock, "KiB", ..);
        let more = (ours - stock) * 1024.0 / workers as f64;
        figures.note(format!("{what}: more than stock for each"), more, "bytes", ..);
    }
    Ok(())
}

/// One token, in a real pipe.
fn budget() -> Result<Jobserver, Box<dyn Error>> {
    let jobserver = Jobserver::new(1);
    jobserver.configure(&mut Command::new("true"))?;
    Ok(jobserver)
}

fn gated(workers: usize, jobserver: &Jobserver) -> Result<ThreadPool, Box<dyn Error>> {
    let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
    Ok(builder.build()?)
}

/// Microseconds that a call takes: the median of many, one right after the other.
fn call<R>(calls: usize, mut call: impl FnMut() -> R) -> f64 {
    let times = (0..calls).map(|_| {
        let begin = Instant::now();
        call();
        begin.elapsed().as_secs_f64() * 1e6
    });
    Quartiles::of(times).median()
}

/// KiB of memory that a process uses whose pool has run something on every worker.
fn memory(which: &str, workers: usize) -> Result<f64, Box<dyn Error>> {
    let mut copy = Command::new(std::env::current_exe()?);
    let out = copy.env(MEMORY, format!("{which} {workers}")).output()?;
    Ok(String::from_utf8(out.stdout)?.trim().parse()?)
}

fn weigh(which: &str) -> Result<(), Box<dyn Error>> {
    let (which, workers) = which.split_once(' ').ok_or("which pool, and how many workers?")?;
    let workers = workers.parse()?;
    if which == "ours" {
        let pool = gated(workers, &Jobserver::new(workers - 1))?;
        pool.broadcast(|_| ());
        println!("{}", resident()?);
    } else {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(workers).build()?;
        pool.broadcast(|_| ());
        println!("{}", resident()?);
    }
    Ok(())
}

fn resident() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().next().ok_or("no number")?.parse()?)
}
