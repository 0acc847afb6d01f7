//! What a pool costs that needs nothing, told by Linux.

use std::error::Error;
use std::fs;
use std::io;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

use crate::{TOKENS, WORKERS, nap};

/// What a call does while it is seen how often the governor of its pool wakes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Jobs of 1 ms for all, and one token.
    Wide,
    /// One job that computes, and tokens to spare.
    Serial,
    /// One job that waits for a lock, and tokens to spare.
    Blocked,
    /// Calls of 16 µs on two workers, with as many gaps of 0.1 ms, and one token.
    Calls,
}

/// How often a second the governor of a pool wakes within such a call, for so long once that has gone on for a while.
pub(crate) fn wakes(load: Load, after: Duration, span: Duration) -> Result<f64, Box<dyn Error>> {
    let jobserver = Jobserver::new(match load {
        Load::Wide | Load::Calls => 1,
        Load::Serial | Load::Blocked => TOKENS,
    });
    jobserver.configure(&mut Command::new("true"))?;
    let pool = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(jobserver).build()?;
    let (over, lock) = (AtomicBool::new(false), Mutex::new(()));
    let held = lock.lock();
    let compute = |most: Duration| {
        let begin = Instant::now();
        while !over.load(Ordering::Relaxed) && begin.elapsed() < most {
            std::hint::spin_loop();
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| match load {
            Load::Wide => pool.install(|| {
                let jobs = (0..1_000_000).into_par_iter().with_max_len(1);
                jobs.for_each(|_| compute(Duration::from_millis(1)));
            }),
            Load::Serial => pool.install(|| compute(Duration::MAX)),
            Load::Blocked => pool.install(|| drop(lock.lock())),
            Load::Calls => {
                let half = || compute(Duration::from_micros(8));
                while !over.load(Ordering::Relaxed) {
                    pool.join(half, half);
                    compute(Duration::from_micros(100));
                }
            }
        });
        nap(after);
        let governor = |thread: &str| thread.starts_with("rayon-governor");
        let waits = || match switches(governor, &["voluntary_ctxt_switches"])? {
            (0, _) => Err(io::Error::other("no thread is called a governor")),
            (_, waits) => Ok(waits),
        };
        let waited = waits().and_then(|before| {
            nap(span);
            Ok(waits()? - before)
        });
        over.store(true, Ordering::Relaxed);
        drop(held);
        Ok(waited? as f64 / span.as_secs_f64())
    })
}

/// What the process costs while its global pool has nothing to do, second by second.
#[derive(Debug)]
pub(crate) struct Idle {
    /// Percent of a core.
    pub(crate) shares: Vec<f64>,
    /// Context switches a second, of all threads but the one that measures.
    pub(crate) switches: Vec<f64>,
    /// Percent of a core that a thread costs which does nothing but wake as often: on a virtual
    /// machine most of it is that.
    pub(crate) timers: Vec<f64>,
}

/// So many seconds without that thread, each beside one with it: now and then the machine
/// itself makes a second a good deal dearer.
pub(crate) fn idle(seconds: usize) -> io::Result<Idle> {
    nap(SECOND);
    let (mut shares, mut switches, mut timers) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..seconds {
        let (share, rate) = cost(SECOND)?;
        shares.push(share);
        switches.push(rate);
        timers.push(beside_a_timer()? - share);
    }
    Ok(Idle { shares, switches, timers })
}

/// Context switches a second of the same beside a pool of the thread that has built it, which does without the pool.
pub(crate) fn switches_beside_builder(
    jobserver: Jobserver,
    seconds: usize,
) -> Result<Vec<f64>, Box<dyn Error>> {
    thread::scope(|scope| {
        let (built, is_built) = mpsc::channel();
        // Gone at the end, whatever happens, so that the thread ends, too.
        let (_measuring, over) = mpsc::channel::<()>();
        scope.spawn(move || {
            let builder = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(jobserver);
            let pool = builder.use_current_thread().build();
            if built.send(pool.as_ref().map(|_| ()).map_err(ToString::to_string)).is_ok() {
                over.recv().unwrap_or_default();
            }
        });
        is_built.recv()??;
        nap(SECOND);
        (0..seconds).map(|_| Ok(cost(SECOND)?.1)).collect()
    })
}

const SECOND: Duration = Duration::from_secs(1);

const TIMER: &str = "bare-timer";

/// The pause between two beats of an idle global pool (`beat` of the policy's `Knobs`).
pub(crate) const LONGEST_BEAT: Duration = Duration::from_micros(18_500);

/// The percentage of a core that the process uses while one more thread wakes as often as such a pool's.
fn beside_a_timer() -> io::Result<f64> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let timer = thread::Builder::new().name(TIMER.to_owned()).spawn_scoped(scope, || {
            while !over.load(Ordering::Relaxed) {
                thread::park_timeout(LONGEST_BEAT);
            }
        })?;
        let both = cost(SECOND);
        over.store(true, Ordering::Relaxed);
        timer.thread().unpark();
        Ok(both?.0)
    })
}

/// The percentage of a core that the process uses, and its context switches a second.
fn cost(span: Duration) -> io::Result<(f64, f64)> {
    let kinds = ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"];
    // One that has ended may still be listed, or be so no more.
    let all = || switches(|thread| thread.trim_end() != TIMER, &kinds);
    // To look for the switches costs a millisecond itself.
    let before = all()?;
    let cpu = cpu_time();
    nap(span);
    let cpu = cpu_time() - cpu;
    let switches = all()?.1 - before.1;
    let share = cpu.as_secs_f64() / span.as_secs_f64() * 100.0;
    Ok((share, switches as f64 / span.as_secs_f64()))
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Those other threads of the process that have such names: how many they are, and their context switches so
/// far. The one that asks is none of the pool's, and every file it looks into may cost it one.
fn switches(thread: impl Fn(&str) -> bool, kinds: &[&str]) -> io::Result<(usize, u64)> {
    let (mut threads, mut switches) = (0, 0);
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if task.ends_with(&own) {
            continue;
        }
        // A thread that has ended meanwhile has no files any more.
        let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
        let Ok(status) = fs::read_to_string(task.join("status")) else { continue };
        if thread(&name) {
            threads += 1;
            let lines = status.lines().filter_map(|line| line.split_once(':'));
            let counts = lines.filter(|(name, _)| kinds.contains(name));
            switches +=
                counts.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum::<u64>();
        }
    }
    Ok((threads, switches))
}
