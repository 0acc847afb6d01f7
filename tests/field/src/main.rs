//! Crates that run on rayon's global pool and know nothing of this one, on stock rayon and on ours.
//!
//! `cargo run --release --manifest-path tests/field/Cargo.toml --target-dir target/field`. Each work runs in processes
//! of its own: on stock rayon with as many threads as may run, and on our pool by bare calls and by announced ones. It
//! must come to its end, with stock rayon's results, and never with more workers admitted than there are tokens for and
//! one. How long it took is told, not judged.

mod work;

use std::env;
use std::error::Error;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rayon_jobserver::{Jobserver, ThreadPoolBuilder, global, install};
use wait_timeout::ChildExt;
use work::WORKS;

/// Workers, and tokens for them.
const PLACES: [(usize, usize); 4] = [(4, 0), (4, 1), (16, 3), (16, 15)];

/// What a process runs its work on.
const POOLS: [&str; 3] = ["stock", "bare", "announced"];

/// So often.
const RUNS: usize = 5;

/// Far more than any of them takes.
const WATCHDOG: Duration = Duration::from_secs(120);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [work, pool, workers, tokens] = arguments.as_slice() {
        return run(work.parse()?, pool, workers.parse()?, tokens.parse()?);
    }
    let mut wrong = 0;
    for (index, (name, _)) in WORKS.iter().enumerate() {
        for (workers, tokens) in PLACES {
            println!("{name}, {workers} workers, {tokens} tokens");
            let told = POOLS.map(|pool| {
                let told = told_by(index, pool, workers, tokens);
                println!("    {pool:9} {}", told.as_ref().map_or_else(Clone::clone, Told::text));
                told.map(|told| told.result)
            });
            // Stock rayon's own failure is one, too.
            wrong += told.iter().filter(|result| result.is_err() || **result != told[0]).count();
        }
    }
    if wrong > 0 { Err(format!("{wrong} not as on stock rayon").into()) } else { Ok(()) }
}

/// What a process tells of its runs.
struct Told {
    result: u64,
    millis: f64,
}

impl Told {
    fn text(&self) -> String {
        format!("{:9.1} ms, result {}", self.millis, self.result)
    }
}

/// Runs a work in a process of its own. What goes wrong is told as well.
fn told_by(work: usize, pool: &str, workers: usize, tokens: usize) -> Result<Told, String> {
    let attempt = || -> Result<Result<Told, String>, Box<dyn Error>> {
        let mut command = Command::new(env::current_exe()?);
        command.args([&work.to_string(), pool, &workers.to_string(), &tokens.to_string()]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let Some(status) = child.wait_timeout(WATCHDOG)? else {
            child.kill()?;
            child.wait()?;
            return Ok(Err(format!("HANGS: not over after {WATCHDOG:?}")));
        };
        if !status.success() {
            return Ok(Err(format!("FAILS: {status}")));
        }
        let mut line = String::new();
        child.stdout.ok_or("no output")?.read_to_string(&mut line)?;
        let (result, millis) = line.trim().split_once(' ').ok_or("not a line of two words")?;
        Ok(Ok(Told { result: result.parse()?, millis: millis.parse()? }))
    };
    attempt().unwrap_or_else(|error| Err(format!("FAILS: {error}")))
}

/// Runs a work on a pool, and prints its result and the median of its times.
fn run(work: usize, pool: &str, workers: usize, tokens: usize) -> Result<(), Box<dyn Error>> {
    let (_, work) = WORKS[work];
    if pool == "stock" {
        let threads = workers.min(tokens + 1);
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    } else {
        let jobserver = Jobserver::new(tokens);
        ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver).build_global()?;
    }
    let once = || work().map_err(|error| error.to_string());
    let mut times = Vec::new();
    let mut results = Vec::new();
    for _ in 0..RUNS {
        let begin = Instant::now();
        results.push(if pool == "announced" { install(once) } else { once() }?);
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    if results.iter().any(|result| *result != results[0]) {
        return Err(format!("each run has another result: {results:?}").into());
    }
    if let Some(stats) = global::stats()
        && stats.peak > tokens + 1
    {
        return Err(format!("{} workers on {tokens} tokens", stats.peak).into());
    }
    times.sort_by(f64::total_cmp);
    println!("{} {}", results[0], times[RUNS / 2]);
    Ok(())
}
