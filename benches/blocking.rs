//! Throughput of jobs that compute a little and block for long, with the token given up meanwhile.
//!
//! `cargo bench --bench blocking` prints jobs a millisecond against what tokens, workers and cores
//! allow: a job costs its computing time of a token and of a core, and all its time of a worker.
//! Then as many workers meet at a barrier as there are, on the own slot alone, and it prints how
//! long that takes. Then two processes on one token take a file's lock in turns, with and without a word, and it
//! prints how long the longest round took.

use std::fs::File;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, Stats, ThreadPoolBuilder, blocking};

const WORKERS: usize = 16;
const TOKENS: usize = 3;
const ROUNDS: usize = 5;

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
        name: "1 ms, then 9 ms within blocking()",
        compute: Duration::from_millis(1),
        block: Duration::from_millis(9),
        jobs: 640,
        says_so: true,
    },
    Kind {
        name: "5 ms, then 45 ms without a word",
        compute: Duration::from_millis(5),
        block: Duration::from_millis(45),
        jobs: 320,
        says_so: false,
    },
    Kind {
        name: "10 ms, then 1 ms within blocking()",
        compute: Duration::from_millis(10),
        block: Duration::from_millis(1),
        jobs: 160,
        says_so: true,
    },
];

fn main() {
    if let Some(file) = std::env::var_os(LOCK_FILE) {
        return take_turns(&PathBuf::from(file));
    }
    throughput();
    barrier();
    file_lock();
}

fn throughput() {
    println!("{WORKERS} workers, {TOKENS} tokens; stock: {} threads\n", TOKENS + 1);
    println!(
        "{:36} {:>9} {:>7} {:>9} {:>7} {:>5} {:>8} {:>11}",
        "a job", "limit/ms", "ours", "of limit", "stock", "peak", "lendings", "overcommits"
    );
    for kind in KINDS {
        let mut ours: Vec<_> = (0..ROUNDS).map(|_| in_ours(kind)).collect();
        ours.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut stock: Vec<_> = (0..ROUNDS).map(|_| in_stock(kind)).collect();
        stock.sort_by(f64::total_cmp);
        let ((ours, stats), stock, limit) = (ours[ROUNDS / 2], stock[ROUNDS / 2], limit(kind));
        println!(
            "{:36} {limit:9.3} {ours:7.3} {:9.3} {stock:7.3} {:5} {:8} {:11}",
            kind.name,
            ours / limit,
            stats.peak,
            stats.lendings,
            stats.overcommits
        );
    }
}

/// Jobs a millisecond that the scarcest of tokens, cores and workers allows.
fn limit(kind: Kind) -> f64 {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let by_funds = (TOKENS + 1).min(cores) as f64 / ms(kind.compute);
    by_funds.min(WORKERS as f64 / ms(kind.compute + kind.block))
}

fn in_ours(kind: Kind) -> (f64, Stats) {
    let jobserver = Jobserver::new(TOKENS);
    let builder = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(jobserver);
    let pool = builder.build().expect("16 workers");
    let rate = rate(kind, |work| pool.install(work));
    (rate, pool.stats())
}

fn in_stock(kind: Kind) -> f64 {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(TOKENS + 1);
    let pool = builder.build().expect("4 threads");
    rate(kind, |work| pool.install(work))
}

fn rate(kind: Kind, run: impl FnOnce(&(dyn Fn() + Sync))) -> f64 {
    let begin = Instant::now();
    run(&|| {
        (0..kind.jobs).into_par_iter().with_max_len(1).for_each(|_| {
            compute(kind.compute);
            let block = || thread::sleep(kind.block); // as for a disk or a socket
            if kind.says_so { blocking(block) } else { block() }
        });
    });
    kind.jobs as f64 / (begin.elapsed().as_secs_f64() * 1e3)
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

fn barrier() {
    println!("\na barrier in a broadcast, no token");
    for workers in [2, 8, 32] {
        let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(Jobserver::new(0));
        let pool = builder.build().expect("a few workers");
        let times = (0..ROUNDS).map(|_| {
            let (begin, meeting) = (Instant::now(), Barrier::new(workers));
            pool.broadcast(|_| _ = meeting.wait());
            begin.elapsed().as_secs_f64() * 1e3
        });
        let worst = times.fold(0.0, f64::max);
        let each = worst / (workers - 1) as f64;
        println!(
            "{workers:3} workers: worst {worst:8.3} ms, {each:.3} ms for each beyond the first"
        );
    }
}

/// Names the file that a child of this program locks.
const LOCK_FILE: &str = "BENCH_LOCK_FILE";

/// Rounds of each process.
const TURNS: usize = 1_000;

fn file_lock() {
    let folder = tempfile::tempdir().expect("a folder for the lock");
    let file = folder.path().join("lock");
    File::create(&file).expect("the folder is ours");
    let jobserver = Jobserver::new(1);
    let program = std::env::current_exe().expect("it runs");
    let start = |_| {
        let mut command = Command::new(&program);
        jobserver.configure(&mut command).expect("a pipe can be made");
        command.env(LOCK_FILE, &file).stdin(Stdio::null()).spawn().expect("it can run again")
    };
    println!("\ntwo processes, one token, a file lock in {TURNS} rounds of two jobs each");
    let children: Vec<Child> = [(); 2].into_iter().map(start).collect();
    for mut child in children {
        assert!(child.wait().expect("it was started").success());
    }
}

fn take_turns(file: &Path) {
    let jobserver = Jobserver::from_env().expect("a good jobserver").expect("there is one");
    let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver);
    let pool = builder.build().expect("4 workers");
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
    let rounds = (0..TURNS).map(|round| {
        let begin = Instant::now();
        let says_so = round % 2 == 0;
        pool.join(|| locked(says_so), || locked(says_so));
        begin.elapsed()
    });
    let mut rounds: Vec<_> = rounds.collect();
    rounds.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (median, worst) = (ms(rounds[TURNS / 2]), ms(rounds[TURNS - 1]));
    let stats = pool.stats();
    let (lendings, overcommits) = (stats.lendings, stats.overcommits);
    println!(
        "median {median:.3} ms, worst {worst:.3} ms; {lendings} lendings, {overcommits} overcommits"
    );
}
