//! Random calls from several threads into several pools on one jobserver: every job runs, all calls end, and all tokens
//! come back.
//!
//! `RANDOM_CALLS=first..last` runs other seeds than the default ones; a failure names its seed.

use std::hint::spin_loop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder, blocking, yield_token};

use crate::random::program::Random;
use crate::random::seeds;
use crate::support::{Gauge, eventually, must_end, virtual_core};

/// A job that waits for another one without `blocking` keeps its worker. There are never more than twelve at once, four
/// for each caller, so a pool as wide as this has workers left.
const WIDE: usize = 16;

/// How long whoever comes back from `blocking` waits for a fund at most, as `blocking` tells.
const FORBEARANCE: Duration = Duration::from_millis(100);

/// A job that computes for so many microseconds.
fn leaf(gauge: &Gauge, micros: u64) {
    gauge.leaf(|| {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_micros(micros) {
            spin_loop();
        }
    });
}

fn tree(gauge: &Gauge, leaves: u64, micros: u64) {
    if leaves == 1 {
        return leaf(gauge, micros);
    }
    let half = leaves / 2;
    rayon::join(|| tree(gauge, half, micros), || tree(gauge, leaves - half, micros));
}

/// As many jobs in a scope of `pool`.
fn scope(pool: &ThreadPool, jobs: u64, job: impl Fn() + Sync) {
    let job = &job;
    pool.scope(|scope| (0..jobs).for_each(|_| scope.spawn(move |_| job())));
}

/// What all calls share.
struct Stage {
    pools: Vec<ThreadPool>,
    gauge: Arc<Gauge>,
    /// Workers that block without a word are seen to.
    detects: bool,
}

impl Stage {
    fn new(random: &mut Random, jobserver: &Jobserver) -> Stage {
        let detects = random.below(2) == 0;
        let pools = (0..=random.below(3)).map(|_| {
            let workers = [1, 2, 3, 4, 8, WIDE, 40][random.below(7) as usize];
            let builder =
                ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
            let builder = builder.fair_share(random.below(3) > 0);
            let builder = if detects { builder } else { builder.detect_blocking(None) };
            builder.build().expect("a pool of a sane size can be built")
        });
        Stage { pools: pools.collect(), gauge: Arc::default(), detects }
    }

    /// A call of any kind. Returns how many leaves it has; some may be left for later.
    fn call(&self, random: &mut Random, depth: u32) -> usize {
        let pool = &self.pools[random.below(self.pools.len() as u64) as usize];
        let (jobs, micros) = (1 + random.below(20), random.below(200));
        let leaf = || leaf(&self.gauge, micros);
        let gauge = Arc::clone(&self.gauge);
        match random.below(12) {
            0 | 1 => pool.install(|| tree(&self.gauge, jobs, micros)),
            2 => scope(pool, jobs, leaf),
            3 => scope(pool, jobs, || {
                blocking(|| virtual_core(Duration::from_micros(10 * micros)));
                leaf();
            }),
            4 => scope(pool, jobs, || {
                yield_token();
                leaf();
            }),
            5 => {
                let panics = || {
                    pool.scope(|scope| {
                        scope.spawn(|_| resume_unwind(Box::new("on purpose")));
                        scope.spawn(|_| leaf());
                    });
                };
                assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
                return 1;
            }
            6 => {
                pool.broadcast(|_| leaf());
                return pool.current_num_threads();
            }
            7 => {
                pool.spawn_broadcast(move |_| self::leaf(&gauge, micros));
                return pool.current_num_threads();
            }
            8 => {
                pool.spawn(move || self::leaf(&gauge, micros));
                return 1;
            }
            9 if depth < 2 => {
                let [mut left, mut right] = [1, 2].map(|_| Random::new(random.below(1 << 30)));
                let (left, right) = pool
                    .join(|| self.call(&mut left, depth + 1), || self.call(&mut right, depth + 1));
                return left + right;
            }
            10 if self.detects => {
                let lock = Mutex::new(());
                scope(pool, jobs, || {
                    let _held = lock.lock();
                    leaf();
                });
            }
            11 if self.detects && pool.current_num_threads() >= WIDE => {
                let (send, receive) = mpsc::channel();
                pool.join(
                    move || receive.recv().expect("the other one sends"),
                    move || send.send(()).expect("the first one waits"),
                );
                return 0;
            }
            _ => return 0,
        }
        jobs as usize
    }
}

fn run(seed: u64) {
    let begin = Instant::now();
    let mut random = Random::new(seed);
    let tokens = random.below(8) as usize;
    let jobserver = Jobserver::new(tokens);
    let stage = Stage::new(&mut random, &jobserver);
    let (callers, calls) = (1 + random.below(3), random.below(12));
    let leaves = AtomicUsize::new(0);
    thread::scope(|scope| {
        for caller in 0..callers {
            let (stage, leaves) = (&stage, &leaves);
            scope.spawn(move || {
                let mut random = Random::new(seed * callers + caller);
                for _ in 0..calls {
                    leaves.fetch_add(stage.call(&mut random, 0), Ordering::Relaxed);
                }
            });
        }
    });
    let gauge = &stage.gauge;
    eventually("all jobs run", || gauge.total() == leaves.load(Ordering::Relaxed));
    let overcommits: u64 = stage.pools.iter().map(|pool| pool.stats().overcommits).sum();
    if !stage.detects {
        // In less time nobody can have waited so long that it went on without a fund, as on a crowded machine.
        let all_waited = begin.elapsed() < FORBEARANCE;
        assert!(!all_waited || overcommits == 0, "seed {seed}: {overcommits} overcommits");
        let (most, allowed) = (gauge.most() as u64, tokens as u64 + 1 + overcommits);
        assert!(
            most <= allowed,
            "seed {seed}: {most} at once on {tokens}, {overcommits} overcommits"
        );
    }
    if random.below(2) == 0 {
        drop(stage);
    }
    let back = || jobserver.available().expect("it counts its tokens");
    eventually("tokens come back", || back() == tokens && jobserver.held() == 0);
}

#[test]
fn random_calls_into_several_pools_end_and_leave_no_token_behind() {
    for seed in seeds("RANDOM_CALLS", 0..300) {
        must_end(&format!("seed {seed}"), move || run(seed));
    }
}

/// Pools of four workers each that cannot be seen to block.
fn fours(jobserver: &Jobserver, pools: usize) -> Vec<ThreadPool> {
    let pool = |_| {
        let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone());
        builder.detect_blocking(None).build().expect("four workers")
    };
    (0..pools).map(pool).collect()
}

/// Each calls the next one, and the last one the closure.
fn through(pools: &[ThreadPool], call: impl FnOnce() + Send) {
    match pools {
        [] => call(),
        [first, others @ ..] => first.install(|| through(others, call)),
    }
}

/// Once each of the others kept one, and the last ran on what was left.
#[test]
fn pools_that_wait_for_another_one_keep_no_fund_from_it() {
    must_end("the last of four pools runs on all funds", || {
        let jobserver = Jobserver::new(3);
        let pools = fours(&jobserver, 4);
        through(&pools, || {
            let gauge = Gauge::default();
            while gauge.most() < 4 {
                rayon::scope(|scope| {
                    for _ in 0..16 {
                        scope.spawn(|_| gauge.leaf(|| virtual_core(Duration::from_millis(1))));
                    }
                });
            }
        });
        eventually("tokens come back", || jobserver.held() == 0);
    });
}

/// Once they kept three tokens for as long as they waited.
#[test]
fn pools_that_wait_keep_no_token_from_others() {
    must_end("another process has all tokens", || {
        let client = jobserver::Client::new(3).expect("a pipe");
        let jobserver = Jobserver::from_client(client.clone());
        let pools = fours(&jobserver, 4);
        let (over, ends) = mpsc::channel::<()>();
        let (ends, waiting) = (Mutex::new(ends), AtomicUsize::new(0));
        let wait = || {
            waiting.fetch_add(1, Ordering::SeqCst);
            ends.lock().expect("nobody panics").recv()
        };
        thread::scope(|scope| {
            for pool in &pools {
                scope.spawn(|| pool.install(|| blocking(wait)));
            }
            eventually("all pools wait", || waiting.load(Ordering::SeqCst) == pools.len());
            let all = [(); 3].map(|()| client.acquire().expect("the pipe can be read"));
            drop((all, over));
        });
        eventually("tokens come back", || jobserver.held() == 0);
    });
}
