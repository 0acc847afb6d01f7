//! Several processes on one budget, with serial and wide phases, beside perfect packing.
//!
//! `cargo bench --bench processes` starts eight processes on 12 tokens; their leaves sleep in place
//! of cores that the machine lacks. Perfect packing is all the work at once on as many cores as
//! there are tokens and processes, which no schedule can beat.

#[path = "../examples/support/sweep.rs"]
mod sweep;
#[path = "../examples/support/trace.rs"]
mod trace;

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
use trace::Trace;

const PROCESSES: usize = 8;
const TOKENS: usize = 12;
const ROUNDS: usize = 10;
const SERIAL: Duration = Duration::from_millis(20);
const LEAVES: usize = 48;
const LEAF: Duration = Duration::from_millis(5);
const TRIALS: usize = 5;

/// Set in a child, to the file its stamps go to.
const TRACE: &str = "PROCESSES_TRACE";

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::var_os(TRACE) {
        Some(file) => child(file.into()),
        None => (0..TRIALS).try_for_each(|_| parent()),
    }
}

fn virtual_core(time: Duration) {
    thread::sleep(time); // a leaf
}

fn child(file: PathBuf) -> Result<(), Box<dyn Error>> {
    ThreadPoolBuilder::new().num_threads(TOKENS + 1).detect_blocking(None).build_global()?;
    let trace = Trace::new(Some(file));
    rayon::scope(|_| {
        for _ in 0..ROUNDS {
            trace.job(|| virtual_core(SERIAL));
            let leaves = (0..LEAVES).into_par_iter().with_max_len(1);
            leaves.for_each(|_| trace.job(|| virtual_core(LEAF)));
        }
    });
    Ok(trace.finish()?)
}

fn parent() -> Result<(), Box<dyn Error>> {
    let jobserver = Jobserver::new(TOKENS);
    let folder = tempfile::tempdir()?;
    let files: Vec<_> = (0..PROCESSES).map(|child| folder.path().join(child.to_string())).collect();
    let begin = Instant::now();
    let children = files.iter().map(|file| {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(TRACE, file);
        jobserver.configure(&mut command)?;
        Ok(command.spawn()?)
    });
    let children = children.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    for mut child in children {
        assert!(child.wait()?.success(), "a child failed");
    }
    let wall = begin.elapsed();
    assert_eq!(jobserver.available()?, TOKENS, "every token came back");

    let stamps = files.iter().map(|file| sweep::read(file)).collect::<Result<Vec<_>, _>>()?;
    let mut stamps = stamps.concat();
    stamps.sort_unstable();
    let all = sweep::sweep(stamps);
    let slots = TOKENS + PROCESSES;
    assert!(all.most <= slots, "{} at once on {slots} slots", all.most);
    let work = (SERIAL + LEAF * LEAVES as u32) * (ROUNDS * PROCESSES) as u32;
    let perfect = work / slots as u32;
    println!(
        "{PROCESSES} processes, {TOKENS} tokens: {} at once at most, {:.1} on average; {:.3} s, \
         {:.3} times perfect packing ({:.3} s)",
        all.most,
        all.mean,
        wall.as_secs_f64(),
        wall.as_secs_f64() / perfect.as_secs_f64(),
        perfect.as_secs_f64(),
    );
    Ok(())
}
