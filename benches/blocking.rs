//! Throughput of jobs that compute a little and block for long, with the token given up meanwhile.
//!
//! `cargo bench --bench blocking -- [--quick] [--record FOLDER] [FILTER...]` prints jobs a millisecond
//! against what tokens, workers and cores allow: a job costs its computing time of a token and of a
//! core, and all its time of a worker. Then as many workers meet at a barrier as there are, on the own
//! slot alone, and it prints how long that takes. Then two processes on one token take a file's lock in
//! turns, with and without a word, and it prints how long the longest round took. A filter is for
//! `throughput`, `barrier` or `lock`.

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
#[path = "common/times.rs"]
mod times;

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::ops::Bound::{Included, Unbounded};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use args::Options;
use figures::Figures;
use rayon::prelude::*;
use rayon_jobserver::{Jobserver, Stats, ThreadPoolBuilder, blocking};
use stats::Quartiles;
use times::Times;

const WORKERS: usize = 16;
const TOKENS: usize = 3;

/// A kind of job.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    compute: Duration,
    block: Duration,
    jobs: usize,
    says_so: bool,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "1 ms and then 9 ms within blocking()",
        compute: Duration::from_millis(1),
        block: Duration::from_millis(9),
        jobs: 640,
        says_so: true,
    },
    Kind {
        name: "5 ms and then 45 ms without a word",
        compute: Duration::from_millis(5),
        block: Duration::from_millis(45),
        jobs: 320,
        says_so: false,
    },
    Kind {
        name: "10 ms and then 1 ms within blocking()",
        compute: Duration::from_millis(10),
        block: Duration::from_millis(1),
        jobs: 160,
        says_so: true,
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let turns = if options.quick { 100 } else { 1_000 };
    if let Some(file) = std::env::var_os(LOCK_FILE) {
        return take_turns(&PathBuf::from(file), turns);
    }
    machine::describe(&options)?;
    let mut figures = Figures::default();
    let rounds = if options.quick { 1 } else { 5 };
    if options.wants("throughput") {
        throughput(&mut figures, rounds)?;
    }
    if options.wants("barrier") {
        barrier(&mut figures, rounds)?;
    }
    if options.wants("lock") {
        file_lock(&mut figures, options.quick)?;
    }
    Ok(figures.record(&options)?)
}

fn throughput(figures: &mut Figures, rounds: usize) -> Result<(), Box<dyn Error>> {
    for kind in KINDS {
        let (mut ours, mut stock) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(in_ours(kind)?);
            stock.push(in_stock(kind)?);
        }
        let name = |what| format!("{}: {what}", kind.name);
        let limit = limit(kind);
        figures.note(name("limit"), limit, "jobs/ms", ..);
        let mut median = |what, rounds: Vec<f64>, unit| {
            figures.keep(&name(what), rounds.iter().copied());
            let median = Quartiles::of(rounds).median();
            figures.note(name(what), median, unit, ..);
            median
        };
        let of = |what: fn(&Round) -> u64| ours.iter().map(|round| what(round) as f64).collect();
        let rate = median("ours", ours.iter().map(|round| round.rate).collect(), "jobs/ms");
        median("stock of 4 threads", stock, "jobs/ms");
        median("lendings", of(|round| round.stats.lendings), "");
        median("overcommits", of(|round| round.stats.overcommits), "");
        figures.note(name("ours of the limit"), 100.0 * rate / limit, "%", ..);
        let peaks = ours.iter().map(|round| round.peak as f64);
        figures.keep(&name("most that compute at once"), peaks.clone());
        let most = peaks.fold(0.0, f64::max);
        // Of those that do not say so it is found out when they already compute again.
        let bound = if kind.says_so { Included((TOKENS + 1) as f64) } else { Unbounded };
        figures.note(name("most that compute at once"), most, "jobs", (Unbounded, bound));
    }
    Ok(())
}

/// Jobs a millisecond that the scarcest of tokens, cores and workers allows.
fn limit(kind: Kind) -> f64 {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let by_funds = (TOKENS + 1).min(cores) as f64 / ms(kind.compute);
    by_funds.min(WORKERS as f64 / ms(kind.compute + kind.block))
}

/// What ours has made of some jobs.
struct Round {
    /// Jobs a millisecond.
    rate: f64,
    /// The most that computed at once.
    peak: usize,
    stats: Stats,
}

fn in_ours(kind: Kind) -> Result<Round, Box<dyn Error>> {
    let jobserver = Jobserver::new(TOKENS);
    let pool = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(jobserver).build()?;
    let (rate, peak) = rate(kind, |work| pool.install(work));
    Ok(Round { rate, peak, stats: pool.stats() })
}

/// On as many threads as may run in ours.
fn in_stock(kind: Kind) -> Result<f64, Box<dyn Error>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(TOKENS + 1).build()?;
    Ok(rate(kind, |work| pool.install(work)).0)
}

/// Jobs a millisecond, and how many computed at once.
fn rate(kind: Kind, run: impl FnOnce(&(dyn Fn() + Sync))) -> (f64, usize) {
    let begin = Instant::now();
    let (computing, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    run(&|| {
        (0..kind.jobs).into_par_iter().with_max_len(1).for_each(|_| {
            most.fetch_max(computing.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            compute(kind.compute);
            computing.fetch_sub(1, Ordering::Relaxed);
            let block = || thread::sleep(kind.block); // as for a disk or a socket
            if kind.says_so { blocking(block) } else { block() }
        });
    });
    let rate = kind.jobs as f64 / (begin.elapsed().as_secs_f64() * 1e3);
    (rate, most.into_inner())
}

/// Uses this much of a core, however many threads share it.
fn compute(time: Duration) {
    let used = || {
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
    };
    let begin = used();
    let mut sum = 0_u64;
    while used() - begin < time {
        (0..500).for_each(|step| sum = black_box(sum.wrapping_mul(31) ^ step));
    }
}

fn barrier(figures: &mut Figures, rounds: usize) -> Result<(), Box<dyn Error>> {
    for workers in [2, 8, 32] {
        let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(Jobserver::new(0));
        let pool = builder.build()?;
        let times = Times::of((0..rounds).map(|_| {
            let (begin, meeting) = (Instant::now(), Barrier::new(workers));
            pool.broadcast(|_| _ = meeting.wait());
            begin.elapsed()
        }));
        let what = format!("barrier of {workers} workers without tokens");
        figures.keep(&what, times.millis());
        figures.note(format!("{what}: worst"), times.worst(), "ms", ..);
        let each = times.worst() / (workers - 1) as f64;
        figures.note(format!("{what}: for each beyond the first"), each, "ms", ..);
    }
    Ok(())
}

/// Names the file that a child of this program locks.
const LOCK_FILE: &str = "BENCH_LOCK_FILE";

/// Two processes on one token, each with rounds of two jobs that take the lock.
fn file_lock(figures: &mut Figures, quick: bool) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("lock");
    File::create(&file)?;
    let jobserver = Jobserver::new(1);
    let start = || -> Result<Child, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        jobserver.configure(&mut command)?;
        command.args(quick.then_some("--quick")).env(LOCK_FILE, &file);
        Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
    };
    for (child, who) in [(start()?, "one"), (start()?, "the other")] {
        let told = child.wait_with_output()?;
        if !told.status.success() {
            return Err("a process with a file lock failed".into());
        }
        let told = String::from_utf8(told.stdout)?;
        let told = told.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let [lendings, overcommits, rounds @ ..] = &told[..] else {
            return Err("a process with a file lock told something else".into());
        };
        let rounds = Times::of(rounds.iter().map(|&millis| Duration::from_secs_f64(millis / 1e3)));
        figures.keep(&format!("file lock of two processes: round of {who}"), rounds.millis());
        let mut note = |what, value, unit| {
            figures.note(format!("file lock of two processes: {what} of {who}"), value, unit, ..);
        };
        note("median round", rounds.median(), "ms");
        note("worst round", rounds.worst(), "ms");
        note("lendings", *lendings, "");
        note("overcommits", *overcommits, "");
    }
    Ok(())
}

/// Tells the pool's lendings and overcommits, and the milliseconds of each of its rounds.
fn take_turns(file: &Path, turns: usize) -> Result<(), Box<dyn Error>> {
    let jobserver = Jobserver::from_env()?.ok_or("there is no jobserver")?;
    let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver).build()?;
    let locked = |says_so: bool| {
        let file = File::open(file).expect("it is there");
        if says_so {
            blocking(|| file.lock()).expect("it can be locked");
        } else {
            file.lock().expect("it can be locked");
        }
        compute(Duration::from_micros(20));
        file.unlock().expect("it is locked");
    };
    let rounds = Times::of((0..turns).map(|round| {
        let begin = Instant::now();
        let says_so = round % 2 == 0;
        pool.join(|| locked(says_so), || locked(says_so));
        begin.elapsed()
    }));
    let stats = pool.stats();
    println!("{} {}", stats.lendings, stats.overcommits);
    rounds.millis().for_each(|millis| println!("{millis}"));
    Ok(())
}
