//! What calls and memory cost as workers and pools become many.
//!
//! `cargo bench --bench scaling -- [--quick] [--record FOLDER] [FILTER...]` prints medians beside those of stock
//! rayon, which takes turns with ours. It runs with two threads, as many as ours may run, and with as many as ours
//! has, which shows rayon's own cost of a wide pool. A filter is for `calls`, `pools`, `search` or `memory`.

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
#[path = "common/raw.rs"]
mod raw;
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
const ROUNDS: usize = 20;
const QUICK_ROUNDS: usize = 3;
/// Of each contender in a round.
const CALLS: usize = 100;

/// Set in a copy whose memory is looked at, to `ours` or `stock`, and to the number of workers.
const MEMORY: &str = "SCALING_MEMORY";

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(which) = std::env::var(MEMORY) {
        return weigh(&which);
    }
    let options = Options::parse()?;
    machine::describe(&options)?;
    let mut figures = Figures::default();
    let rounds = if options.quick { QUICK_ROUNDS } else { ROUNDS };
    if options.wants("calls") {
        wide(&mut figures, rounds)?;
    }
    if options.wants("pools") {
        many(&mut figures, rounds)?;
    }
    if options.wants("search") {
        searches(&mut figures, if options.quick { 10 } else { 100 })?;
    }
    if options.wants("memory") {
        heavy(&mut figures, if options.quick { 1 } else { 3 })?;
    }
    Ok(figures.record(&options)?)
}

/// Calls as workers become many.
fn wide(figures: &mut Figures, rounds: usize) -> Result<(), Box<dyn Error>> {
    for workers in WIDTHS {
        let ours = gated(workers, &budget()?)?;
        let narrow = stock(2)?;
        let wide = stock(workers)?;
        let what = format!("a call with {workers} workers");
        let contenders: [Contender<'_>; 3] = [
            ("ours", &mut || ours.install(nothing)),
            ("stock of 2 threads", &mut || narrow.install(nothing)),
            ("stock of as many", &mut || wide.install(nothing)),
        ];
        in_turn(figures, &what, rounds, contenders);
    }
    Ok(())
}

/// Calls as pools become many, each on the next of them.
fn many(figures: &mut Figures, rounds: usize) -> Result<(), Box<dyn Error>> {
    for count in POOLS {
        let jobserver = budget()?;
        let ours = several(count, || gated(16, &jobserver))?;
        let narrow = several(count, || stock(2))?;
        let wide = several(count, || stock(16))?;
        let (mut ours, mut narrow, mut wide) =
            (ours.iter().cycle(), narrow.iter().cycle(), wide.iter().cycle());
        let what = format!("a call on the next of {count} pools of 16 workers");
        let contenders: [Contender<'_>; 3] = [
            ("ours", &mut || ours.next().expect("it is a cycle").install(nothing)),
            ("stock of 2 threads", &mut || narrow.next().expect("it is a cycle").install(nothing)),
            ("stock of as many", &mut || wide.next().expect("it is a cycle").install(nothing)),
        ];
        in_turn(figures, &what, rounds, contenders);
    }
    Ok(())
}

/// What is called: two jobs that do nothing.
fn nothing() {
    rayon::join(|| (), || ());
}

/// A name, and a call.
type Contender<'a> = (&'static str, &'a mut dyn FnMut());

/// Contenders take turns, with another one first each time, since the machine changes with time. A round is
/// many calls of one contender in a row, of which the median is kept; the first round only warms up.
fn in_turn<const N: usize>(
    figures: &mut Figures,
    what: &str,
    rounds: usize,
    mut contenders: [Contender<'_>; N],
) {
    let mut medians = [(); N].map(|()| Vec::new());
    for round in 0..=rounds {
        for place in 0..N {
            let number = (round + place) % N;
            let micros = micros(&mut contenders[number].1);
            if round > 0 {
                medians[number].push(micros);
            }
        }
    }
    for ((who, _), medians) in contenders.into_iter().zip(medians) {
        let name = format!("{what}: {who}");
        figures.keep(&name, medians.iter().copied());
        let [_, median, most] = Quartiles::of(medians).0;
        figures.note(&name, median, "µs", ..);
        figures.note(format!("{name}: three in four rounds at most"), most, "µs", ..);
    }
}

/// Microseconds that a call takes: the median of many.
fn micros(call: &mut dyn FnMut()) -> f64 {
    Quartiles::of((0..CALLS).map(|_| {
        let begin = Instant::now();
        call();
        begin.elapsed().as_secs_f64() * 1e6
    }))
    .median()
}

/// What a worker of stock rayon runs to find that there is nothing to do, before it sleeps.
fn searches(figures: &mut Figures, times: usize) -> Result<(), Box<dyn Error>> {
    for workers in WIDTHS.into_iter().filter(|&workers| workers <= 256) {
        let pool = stock(workers)?;
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
        let what = format!("a worker of {workers} of stock rayon finds nothing to do");
        figures.keep(&what, found.iter().copied());
        let [_, median, most] = Quartiles::of(found).0;
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

/// Memory as workers become many. What a pool of ours costs beside its workers is the same at all widths, so what
/// each worker costs shows in how the difference grows from one width to the next.
fn heavy(figures: &mut Figures, runs: usize) -> Result<(), Box<dyn Error>> {
    let mut narrower = None;
    for workers in WIDTHS {
        let mut kib = [Vec::new(), Vec::new()];
        for _ in 0..runs {
            for (which, kib) in ["ours", "stock"].into_iter().zip(&mut kib) {
                kib.push(memory(which, workers)?);
            }
        }
        let what = format!("memory with {workers} workers");
        let mut note = |who, kib: Vec<f64>| {
            let name = format!("{what}: {who}");
            figures.keep(&name, kib.iter().copied());
            let median = Quartiles::of(kib).median();
            figures.note(name, median, "KiB", ..);
            median
        };
        let [ours, stock] = kib;
        let more = note("ours", ours) - note("stock", stock);
        figures.note(format!("{what}: more than stock"), more, "KiB", ..);
        if let Some((fewer, before)) = narrower.replace((workers, more)) {
            let each = (more - before) * 1024.0 / (workers - fewer) as f64;
            let name = format!("memory: more than stock for each worker from {fewer} to {workers}");
            figures.note(name, each, "bytes", ..);
        }
    }
    Ok(())
}

/// One token, in a real pipe.
fn budget() -> Result<Jobserver, Box<dyn Error>> {
    let jobserver = Jobserver::new(1);
    jobserver.configure(&mut Command::new("true"))?;
    Ok(jobserver)
}

fn several<P>(
    count: usize,
    pool: impl Fn() -> Result<P, Box<dyn Error>>,
) -> Result<Vec<P>, Box<dyn Error>> {
    (0..count).map(|_| pool()).collect()
}

fn stock(threads: usize) -> Result<rayon::ThreadPool, Box<dyn Error>> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build()?)
}

fn gated(workers: usize, jobserver: &Jobserver) -> Result<ThreadPool, Box<dyn Error>> {
    let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
    Ok(builder.build()?)
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
        let pool = stock(workers)?;
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
