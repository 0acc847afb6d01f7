//! How soon tokens come back, workers are added, a bare broadcast ends; what an idle pool costs.
//!
//! `cargo bench --bench latency` prints medians and worst cases of repeated trials. The tokens lie
//! in a real pipe; a second connection stands for the other clients of the jobserver.

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

const WORKERS: usize = 16;
const TOKENS: usize = WORKERS - 1;
const TRIALS: usize = 40;

fn main() {
    let mine = Jobserver::new(TOKENS);
    let others = second_connection(&mine);
    let pool = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(mine.clone());
    let pool = pool.detect_blocking(None).build();
    let pool = pool.expect("16 workers");
    let owned = |job: &(dyn Fn() + Sync)| pool.install(job);
    tokens_back("owned pool", &mine, &others, &owned);
    growth(&others, &mine, &owned);
    drop(pool);
    busy();

    let builder = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(mine.clone());
    builder.detect_blocking(None).build_global().expect("the first global pool");
    let bare = |job: &(dyn Fn() + Sync)| rayon::scope(|_| job());
    tokens_back("global pool, bare calls", &mine, &others, &bare);
    let all: Vec<_> = (0..TOKENS).map(|_| others.acquire()).collect();
    bare_broadcast();
    idle();
    drop(all);
}

/// A connection of its own to the same jobserver, as another process would have it.
fn second_connection(jobserver: &Jobserver) -> Jobserver {
    let mut child = Command::new("true");
    jobserver.configure(&mut child).expect("a pipe can be made");
    let flags = child.get_envs().find_map(|(name, value)| {
        if name == "CARGO_MAKEFLAGS" { value.map(ToOwned::to_owned) } else { None }
    });
    // SAFETY: no other thread runs yet that could read the environment.
    unsafe { std::env::set_var("CARGO_MAKEFLAGS", flags.expect("configure names the jobserver")) };
    Jobserver::from_env().expect("the pipe is sound").expect("the environment names it")
}

fn leaf(time: Duration) {
    thread::sleep(time); // in place of a core
}

fn wide(enter: &(dyn Fn(&(dyn Fn() + Sync)) + Sync)) {
    enter(&|| {
        (0..WORKERS * 20)
            .into_par_iter()
            .with_max_len(1)
            .for_each(|_| leaf(Duration::from_millis(1)));
    });
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let (middle, worst) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{what:58} median {:8.3} ms, worst {:8.3} ms", ms(middle), ms(worst));
}

/// How often the governor of a pool wakes whose funded workers all compute.
fn busy() {
    let jobserver = Jobserver::new(1);
    jobserver.configure(&mut Command::new("true")).expect("a pipe can be made");
    let builder = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(jobserver);
    let pool = builder.build().expect("16 workers");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            pool.install(|| {
                (0..1_000_000).into_par_iter().with_max_len(1).for_each(|_| {
                    let begin = Instant::now();
                    while !over.load(Ordering::Relaxed)
                        && begin.elapsed() < Duration::from_millis(1)
                    {
                        std::hint::spin_loop();
                    }
                });
            });
        });
        leaf(Duration::from_secs(1));
        let (span, before) = (Duration::from_secs(10), governor_switches());
        leaf(span);
        let rate = (governor_switches() - before) as f64 / span.as_secs_f64();
        over.store(true, Ordering::Relaxed);
        worker.join().expect("the jobs end");
        println!(
            "owned pool, all funded workers busy: {rate:.1} wake-ups of the governor a second"
        );
    });
}

/// How often governors' threads have gone to sleep.
fn governor_switches() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux").filter_map(Result::ok);
    let mine = tasks.filter(|task| {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.starts_with("rayon-governor")
    });
    mine.filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
        .filter_map(|status| {
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
            line.split_whitespace().last()?.parse::<u64>().ok()
        })
        .sum()
}

/// From the end of the last job until every token is back.
fn tokens_back(
    what: &str,
    mine: &Jobserver,
    others: &Jobserver,
    enter: &(dyn Fn(&(dyn Fn() + Sync)) + Sync),
) {
    let alone = (0..TRIALS).map(|_| {
        wide(enter);
        let end = Instant::now();
        while mine.held() > 0 {
            thread::sleep(Duration::from_micros(100)); // as little in the way as can be
        }
        end.elapsed()
    });
    report(&format!("{what}: all tokens back, nobody waits"), alone.collect());

    let waited = (0..TRIALS).map(|_| {
        let (send, receive) = mpsc::channel();
        let begun = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !begun.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                let all: Vec<_> = (0..TOKENS).map(|_| others.acquire()).collect();
                send.send(Instant::now()).expect("the trial waits");
                drop(all);
            });
            enter(&|| {
                // As wide as can be before the others begin to want tokens.
                (0..WORKERS * 20).into_par_iter().with_max_len(1).for_each(|index| {
                    leaf(Duration::from_millis(1));
                    if index == WORKERS * 10 {
                        begun.store(true, Ordering::Release);
                    }
                });
            });
            let end = Instant::now();
            let back = receive.recv().expect("the waiter gets all");
            back.saturating_duration_since(end)
        })
    });
    report(&format!("{what}: all tokens back, somebody waits"), waited.collect());
}

/// From a token's release by another client until a worker of ours runs on it.
fn growth(others: &Jobserver, mine: &Jobserver, enter: &(dyn Fn(&(dyn Fn() + Sync)) + Sync)) {
    let times = (0..TRIALS).map(|_| {
        while mine.held() > 0 {
            thread::yield_now();
        }
        let mut all: Vec<_> = (0..TOKENS).map(|_| others.acquire()).collect();
        let running = AtomicUsize::new(0);
        let grown = OnceInstant::default();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                enter(&|| {
                    (0..64).into_par_iter().with_max_len(1).for_each(|_| {
                        if running.fetch_add(1, Ordering::SeqCst) == 1 {
                            grown.note();
                        }
                        while !over.load(Ordering::Acquire) && running.load(Ordering::SeqCst) < 2 {
                            leaf(Duration::from_micros(50));
                        }
                    });
                });
            });
            while running.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            leaf(Duration::from_millis(3));
            let begin = Instant::now();
            drop(all.pop());
            worker.join().expect("the jobs end");
            over.store(true, Ordering::Release);
            grown.get().saturating_duration_since(begin)
        })
    });
    report("owned pool: from a token's release to a job on it", times.collect());
}

#[derive(Debug, Default)]
struct OnceInstant(std::sync::OnceLock<Instant>);

impl OnceInstant {
    fn note(&self) {
        self.0.get_or_init(Instant::now);
    }

    fn get(&self) -> Instant {
        *self.0.get().expect("the pool has grown")
    }
}

/// Bare broadcasts with no token to be had, at all states of the heartbeat.
fn bare_broadcast() {
    let times = (0..TRIALS).map(|trial| {
        leaf(Duration::from_millis(7 * trial as u64));
        let begin = Instant::now();
        assert_eq!(rayon::broadcast(|_| ()).len(), WORKERS);
        begin.elapsed()
    });
    report("global pool: bare broadcast over 16 workers, no token", times.collect());
}

/// What the whole process costs while its global pool has nothing to do, and what a thread costs
/// that does nothing but wake as often: on a virtual machine most of it is that.
fn idle() {
    leaf(Duration::from_secs(1));
    let (share, rate) = cost();
    let over = AtomicBool::new(false);
    let (with_timer, _) = thread::scope(|scope| {
        let timer = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                thread::park_timeout(Duration::from_micros(18_500));
            }
        });
        let both = cost();
        over.store(true, Ordering::Relaxed);
        timer.thread().unpark();
        both
    });
    let timer = with_timer - share;
    println!("idle global pool: {share:.3} % of a core, {rate:.1} context switches a second");
    println!("a bare timer of 54 wake-ups a second: {timer:.3} % of a core");
}

/// The share of a core that the process uses, and its context switches a second.
fn cost() -> (f64, f64) {
    let span = Duration::from_secs(5);
    let (cpu, switches) = (cpu_time(), context_switches());
    leaf(span);
    let (cpu, switches) = (cpu_time() - cpu, context_switches() - switches);
    let share = cpu.as_secs_f64() / span.as_secs_f64() * 100.0;
    (share, switches as f64 / span.as_secs_f64())
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Context switches of all threads, voluntary or not.
fn context_switches() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux").filter_map(Result::ok);
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    statuses
        .flat_map(|status| {
            let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
            let counts =
                lines.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok());
            counts.collect::<Vec<_>>()
        })
        .sum()
}
