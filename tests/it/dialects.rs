//! Random programs of nearly everything rayon offers, on two pools that call each other: the results
//! of a serial run, within the budget, and an end, of their threads, too.
//!
//! `RANDOM_DIALECTS=first..last` runs other seeds than the default ones, `RANDOM_GLOBALS` so many processes
//! with a global pool; a failure names its seed.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder, yield_token};

use crate::process::in_own_process;
use crate::random::program::{Program, Random, mix};
use crate::random::seeds;
use crate::support::{Gauge, eventually, must_end, virtual_core};

/// Programs that share two pools, some of them at the same time.
const PER_GROUP: usize = 5;

/// Programs that one global pool runs.
const PER_PROCESS: u64 = 100;

/// A program in the words of rayon's whole interface.
#[derive(Debug)]
enum Speech {
    /// Joins, scopes and iterators.
    Plain(Program),
    /// `join_context`.
    Join(Box<Speech>, Box<Speech>),
    /// `scope_fifo`.
    Fifo(Vec<Speech>),
    /// `in_place_scope`, the first part by the caller itself.
    InPlace(Vec<Speech>),
    /// Between yields.
    Yielding(Box<Speech>),
    /// `broadcast`: all copies come to the same.
    Copies(Box<Speech>),
    /// The same by `Scope::spawn_broadcast`, with another part beside.
    ScopeCopies(Box<Speech>, Box<Speech>),
    /// `spawn`, and yields until that is done.
    Spawned(Arc<Speech>),
    /// `install` into the other pool.
    Elsewhere(Box<Speech>),
    /// A scope here whose jobs are spawned by the other pool.
    Back(Vec<Speech>),
    /// After a while in `blocking`.
    Away(Duration, Box<Speech>),
    /// The second one panics with its result beside the first one.
    Caught(Box<Speech>, Box<Speech>),
}

/// Two pools on one jobserver.
struct Place {
    pools: [Pool; 2],
    gauge: Gauge,
}

enum Pool {
    Owned(ThreadPool),
    /// rayon's global one, called by our functions or by rayon's own.
    Global,
    Bare,
}

impl Pool {
    fn install<R: Send>(&self, op: impl FnOnce() -> R + Send) -> R {
        match self {
            Pool::Owned(pool) => pool.install(op),
            Pool::Global => rayon_jobserver::install(op),
            Pool::Bare => rayon::scope(|_| op()),
        }
    }

    fn overcommits(&self) -> usize {
        let stats = match self {
            Pool::Owned(pool) => pool.stats(),
            Pool::Global | Pool::Bare => rayon_jobserver::global::stats().expect("it was built"),
        };
        usize::try_from(stats.overcommits).expect("a few")
    }
}

/// What differs from group to group.
struct Group {
    workers: [usize; 2],
    tokens: usize,
    detect: Option<Duration>,
    fair: bool,
}

impl Group {
    fn random(random: &mut Random) -> Self {
        let workers = [1 + random.below(9) as usize, 1 + random.below(6) as usize];
        let tokens = random.below((workers[0] + workers[1]) as u64) as usize;
        let detect = (random.below(3) == 0).then_some(Duration::from_millis(10));
        Group { workers, tokens, detect, fair: random.below(4) > 0 }
    }

    fn builder(&self, pool: usize, jobserver: &Jobserver) -> ThreadPoolBuilder {
        let builder = ThreadPoolBuilder::new().num_threads(self.workers[pool]);
        let builder = builder.jobserver(jobserver.clone()).detect_blocking(self.detect);
        builder.fair_share(self.fair)
    }

    /// Runs some programs, half of them `alongside` the others or before, and checks the budget.
    fn run(&self, place: &Arc<Place>, seeds: Range<u64>, alongside: bool) {
        let Group { workers, tokens, .. } = self;
        let run = &|seed: u64| {
            let mut random = Random::new(seed);
            let size = 1 + random.below(40);
            let speech = Speech::random(&mut random, size, 2);
            let expected = speech.run_serially();
            let here = random.below(2) as usize;
            let result = place.pools[here].install(|| speech.run(place, here));
            assert_eq!(result, expected, "seed {seed}: {workers:?} workers, {tokens} tokens");
        };
        let middle = seeds.start + (seeds.end - seeds.start) / 2;
        thread::scope(|scope| {
            if alongside {
                scope.spawn(|| (seeds.start..middle).for_each(run));
            } else {
                (seeds.start..middle).for_each(run);
            }
            (middle..seeds.end).for_each(run);
        });
        let most = place.gauge.most();
        // Of those who come back from `blocking` when nobody is idle for long, or were seen to block.
        let overcommits: usize = place.pools.iter().map(Pool::overcommits).sum();
        assert!(
            most <= workers.iter().sum::<usize>().min(tokens + 1 + overcommits),
            "seeds {seeds:?}: {most} at once of {workers:?} workers on {tokens} tokens"
        );
    }
}

impl Speech {
    /// A program of about `size` leaves; each worker of a pool has a copy of what is in one of at most
    /// `copies` broadcasts within each other.
    fn random(random: &mut Random, size: u64, copies: u64) -> Speech {
        if size <= 1 {
            return Speech::Plain(Program::random(random, 1));
        }
        let boxed = |random: &mut Random, size| Box::new(Speech::random(random, size, copies));
        let parts = |random: &mut Random| {
            let count = 1 + random.below(size.min(6));
            (0..count).map(|_| Speech::random(random, size / count, copies)).collect()
        };
        match random.below(14) {
            0 | 1 => {
                let left = 1 + random.below(size - 1);
                Speech::Join(boxed(random, left), boxed(random, size - left))
            }
            2 => Speech::Fifo(parts(random)),
            3 => Speech::InPlace(parts(random)),
            4 => Speech::Yielding(boxed(random, size)),
            5 if copies > 0 => {
                let size = size.min(3);
                Speech::Copies(Box::new(Speech::random(random, size, copies - 1)))
            }
            6 if copies > 0 => {
                let copy = Box::new(Speech::random(random, size.min(3), copies - 1));
                Speech::ScopeCopies(copy, boxed(random, size / 2))
            }
            7 => Speech::Spawned(Arc::new(Speech::random(random, size - 1, copies))),
            8 => Speech::Elsewhere(boxed(random, size - 1)),
            9 => Speech::Back(parts(random)),
            10 => {
                let time = Duration::from_micros(random.below(3_000));
                Speech::Away(time, boxed(random, size - 1))
            }
            11 => {
                let left = 1 + random.below(size - 1);
                Speech::Caught(boxed(random, left), boxed(random, size - left))
            }
            _ => Speech::Plain(Program::random(random, size)),
        }
    }

    fn run_serially(&self) -> u64 {
        match self {
            Speech::Plain(program) => program.run_serially(),
            Speech::Join(left, right) | Speech::ScopeCopies(left, right) => {
                mix([left.run_serially(), right.run_serially()])
            }
            Speech::Fifo(parts) | Speech::InPlace(parts) | Speech::Back(parts) => {
                mix(parts.iter().map(Speech::run_serially))
            }
            Speech::Yielding(part) | Speech::Copies(part) | Speech::Elsewhere(part) => {
                part.run_serially()
            }
            Speech::Spawned(part) => part.run_serially(),
            Speech::Away(_, part) | Speech::Caught(_, part) => part.run_serially(),
        }
    }

    /// Runs on a worker of pool `here`.
    fn run(&self, place: &Arc<Place>, here: usize) -> u64 {
        match self {
            Speech::Plain(program) => program.run(&|leaf| place.gauge.leaf(leaf)),
            Speech::Join(left, right) => {
                let (left, right) =
                    rayon::join_context(|_| left.run(place, here), |_| right.run(place, here));
                mix([left, right])
            }
            Speech::Fifo(parts) => {
                let mut results = vec![0; parts.len()];
                rayon::scope_fifo(|scope| {
                    for (part, result) in parts.iter().zip(&mut results) {
                        scope.spawn_fifo(move |_| *result = part.run(place, here));
                    }
                });
                mix(results)
            }
            Speech::InPlace(parts) => {
                let mut results = vec![0; parts.len()];
                rayon::in_place_scope(|scope| {
                    let mut pairs = parts.iter().zip(&mut results);
                    let first = pairs.next();
                    for (part, result) in pairs {
                        scope.spawn(move |_| *result = part.run(place, here));
                    }
                    first.into_iter().for_each(|(part, result)| *result = part.run(place, here));
                });
                mix(results)
            }
            Speech::Yielding(part) => {
                rayon::yield_now();
                yield_token();
                let result = part.run(place, here);
                rayon::yield_local();
                result
            }
            Speech::Copies(part) => all_the_same(rayon::broadcast(|_| part.run(place, here))),
            Speech::ScopeCopies(copy, beside) => {
                let copies = Mutex::new(Vec::new());
                let mut other = 0;
                rayon::scope(|scope| {
                    scope.spawn_broadcast(|_, _| {
                        let result = copy.run(place, here);
                        copies.lock().expect("no copy panics").push(result);
                    });
                    other = beside.run(place, here);
                });
                mix([all_the_same(copies.into_inner().expect("no copy panics")), other])
            }
            Speech::Spawned(part) => {
                let outcome = Arc::new((AtomicBool::new(false), AtomicU64::new(0)));
                let (part, there, result) =
                    (Arc::clone(part), Arc::clone(place), Arc::clone(&outcome));
                rayon::spawn(move || {
                    result.1.store(part.run(&there, here), Ordering::Relaxed);
                    result.0.store(true, Ordering::Release);
                });
                while !outcome.0.load(Ordering::Acquire) {
                    if rayon::yield_now() != Some(rayon::Yield::Executed) {
                        thread::yield_now();
                    }
                }
                outcome.1.load(Ordering::Relaxed)
            }
            Speech::Elsewhere(part) => place.pools[1 - here].install(|| part.run(place, 1 - here)),
            Speech::Away(time, part) => {
                rayon_jobserver::blocking(|| virtual_core(*time));
                part.run(place, here)
            }
            Speech::Caught(left, right) => {
                let both = || {
                    let right = || -> u64 { resume_unwind(Box::new(right.run(place, here))) };
                    rayon::join(|| left.run(place, here), right)
                };
                let panic = catch_unwind(AssertUnwindSafe(both)).expect_err("one of them panics");
                *panic.downcast().expect("its result")
            }
            Speech::Back(parts) => {
                let mut results = vec![0; parts.len()];
                rayon::scope(|scope| {
                    place.pools[1 - here].install(|| {
                        for (part, result) in parts.iter().zip(&mut results) {
                            scope.spawn(move |_| *result = part.run(place, here));
                        }
                    });
                });
                mix(results)
            }
        }
    }
}

fn all_the_same(results: Vec<u64>) -> u64 {
    let first = results[0];
    assert!(results.iter().all(|&result| result == first), "copies differ: {results:?}");
    first
}

fn run_group(seeds: Range<u64>) {
    let mut random = Random::new(seeds.start);
    let group = Group::random(&mut random);
    let adopts = random.below(4) == 0;
    let alongside = !adopts && random.below(2) == 0;
    let jobserver = Jobserver::new(group.tokens);
    let exits = Arc::new(AtomicUsize::new(0));
    let build = |pool, adopts| {
        let exits = Arc::clone(&exits);
        let builder = group.builder(pool, &jobserver).exit_handler(move |_| {
            exits.fetch_add(1, Ordering::Relaxed);
        });
        // What fair share leaves in the queue of a thread that does not come back keeps rayon's pool alive.
        let builder = if adopts { builder.use_current_thread().fair_share(false) } else { builder };
        Pool::Owned(builder.build().expect("a pool of a sane size can be built"))
    };
    let pools = [build(0, adopts), build(1, false)];
    let place = Arc::new(Place { pools, gauge: Gauge::default() });
    group.run(&place, seeds, alongside);
    eventually("tokens come back", || jobserver.held() == 0);
    drop(place);
    let threads = group.workers.iter().sum::<usize>() - usize::from(adopts);
    eventually("threads end", || exits.load(Ordering::Relaxed) == threads);
}

#[test]
fn random_dialects_end_with_the_right_result_within_the_budget() {
    let seeds = seeds("RANDOM_DIALECTS", 0..500);
    for first in seeds.clone().step_by(PER_GROUP) {
        let group = first..(first + PER_GROUP as u64).min(seeds.end);
        must_end(&format!("seeds {group:?}"), move || run_group(group));
    }
}

/// The same where one of the two is the global pool, which is called with notice and without.
fn run_on_the_global_pool(process: u64) {
    let mut random = Random::new(process);
    let group = Group::random(&mut random);
    let jobserver = Jobserver::new(group.tokens);
    group.builder(0, &jobserver).build_global().expect("nobody has used rayon here");
    for first in (process * PER_PROCESS..).step_by(PER_GROUP).take(PER_PROCESS as usize / PER_GROUP)
    {
        let global = if random.below(3) == 0 { Pool::Global } else { Pool::Bare };
        let other = group.builder(1, &jobserver).build().expect("a pool of a sane size");
        let place =
            Arc::new(Place { pools: [global, Pool::Owned(other)], gauge: Gauge::default() });
        group.run(&place, first..first + PER_GROUP as u64, random.below(2) == 0);
        eventually("tokens come back", || jobserver.held() == 0);
    }
}

#[test]
fn random_dialects_on_the_global_pool_end_within_the_budget() {
    const TEST: &str = "dialects::random_dialects_on_the_global_pool_end_within_the_budget";
    for process in seeds("RANDOM_GLOBALS", 0..5) {
        in_own_process(TEST, &[("RANDOM_GLOBALS", &format!("{process}..{}", process + 1))], || {
            must_end(&format!("process {process}"), move || run_on_the_global_pool(process));
        });
    }
}
