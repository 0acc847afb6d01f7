//! What a call, a broadcast and memory cost as workers and pools become many.
//!
//! `cargo bench --bench scaling` prints medians beside stock rayon's: with two threads, as many as ours
//! may run, and with all of ours' threads, so that it shows what is rayon's own cost of a wide pool.

use std::error::Error;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder};

const WIDTHS: [usize; 5] = [2, 16, 64, 256, 1_024];
const POOLS: [usize; 4] = [1, 4, 16, 64];
const CALLS: usize = 2_000;

/// Set in a copy whose memory is looked at, to `ours` or `stock`, and to the number of workers.
const MEMORY: &str = "SCALING_MEMORY";

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(which) = std::env::var(MEMORY) {
        return weigh(&which);
    }
    println!("{:>7} {:>12} {:>12} {:>12}", "workers", "call us", "stock of 2", "stock of all");
    for workers in WIDTHS {
        let ours = gated(workers, &budget()?);
        let narrow = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
        let wide = rayon::ThreadPoolBuilder::new().num_threads(workers).build()?;
        let [ours, narrow, wide] = [
            call(|| ours.install(|| rayon::join(|| (), || ()))),
            call(|| narrow.install(|| rayon::join(|| (), || ()))),
            call(|| wide.install(|| rayon::join(|| (), || ()))),
        ];
        println!("{workers:>7} {ours:>12.1} {narrow:>12.1} {wide:>12.1}");
    }

    println!("\n{:>7} {:>12}", "pools", "call us");
    for pools in POOLS {
        let jobserver = budget()?;
        let pools: Vec<_> = (0..pools).map(|_| gated(16, &jobserver)).collect();
        let mut next = pools.iter().cycle();
        let each = call(|| next.next().map(|pool| pool.install(|| rayon::join(|| (), || ()))));
        println!("{:>7} {each:>12.1}", pools.len());
    }

    println!("\n{:>7} {:>14} {:>14} {:>16}", "workers", "ours KiB", "stock KiB", "bytes more each");
    for workers in WIDTHS {
        let (ours, stock) = (memory("ours", workers)?, memory("stock", workers)?);
        let more = (ours as f64 - stock as f64) * 1024.0 / workers as f64;
        println!("{workers:>7} {ours:>14} {stock:>14} {more:>16.0}");
    }
    Ok(())
}

/// One token, in a real pipe.
fn budget() -> Result<Jobserver, Box<dyn Error>> {
    let jobserver = Jobserver::new(1);
    jobserver.configure(&mut Command::new("true"))?;
    Ok(jobserver)
}

fn gated(workers: usize, jobserver: &Jobserver) -> ThreadPool {
    let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
    builder.build().expect("so many threads can be started")
}

/// Microseconds that a call takes: the median of many, one right after the other.
fn call<R>(mut call: impl FnMut() -> R) -> f64 {
    let mut times: Vec<Duration> = (0..CALLS)
        .map(|_| {
            let begin = Instant::now();
            call();
            begin.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[CALLS / 2].as_secs_f64() * 1e6
}

/// KiB of memory that a process uses whose pool has run something on every worker.
fn memory(which: &str, workers: usize) -> Result<u64, Box<dyn Error>> {
    let mut copy = Command::new(std::env::current_exe()?);
    let out = copy.env(MEMORY, format!("{which} {workers}")).output()?;
    Ok(String::from_utf8(out.stdout)?.trim().parse()?)
}

fn weigh(which: &str) -> Result<(), Box<dyn Error>> {
    let (which, workers) = which.split_once(' ').ok_or("which pool, and how many workers?")?;
    let workers = workers.parse()?;
    if which == "ours" {
        let pool = gated(workers, &Jobserver::new(workers - 1));
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
