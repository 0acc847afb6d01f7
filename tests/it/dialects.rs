//! Random programs of nearly everything rayon offers, on two pools that call each other: the results
//! of a serial run, within the budget, and an end, of their threads, too.
//!
//! `RANDOM_DIALECTS=first..last` runs other seeds than the default ones; a failure names its seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder};

use crate::random::program::{Program, Random, mix};
use crate::random::seeds;
use crate::support::{Gauge, eventually, must_end, virtual_core};

/// Programs that share two pools, some of them at the same time.
const PER_GROUP: u64 = 5;

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
    pools: [ThreadPool; 2],
    gauge: Gauge,
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
                    if rayon::yield_now() == Some(rayon::Yield::Idle) {
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

fn run_group(first: u64, last: u64) {
    let mut random = Random::new(first);
    let workers = [1 + random.below(9) as usize, 1 + random.below(6) as usize];
    let total: usize = workers.iter().sum();
    let tokens = random.below(total as u64) as usize;
    let adopts = random.below(4) == 0;
    let alongside = !adopts && random.below(2) == 0;
    let detect = (random.below(3) == 0).then_some(Duration::from_millis(10));
    let jobserver = Jobserver::new(tokens);
    let exits = Arc::new(AtomicUsize::new(0));
    let build = |workers, adopts| {
        let exits = Arc::clone(&exits);
        let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
        let builder = builder.detect_blocking(detect).exit_handler(move |_| {
            exits.fetch_add(1, Ordering::Relaxed);
        });
        // What fair share leaves in the queue of a thread that does not come back keeps rayon's pool alive.
        let builder = if adopts { builder.use_current_thread().fair_share(false) } else { builder };
        builder.build().expect("a pool of a sane size can be built")
    };
    let pools = [build(workers[0], adopts), build(workers[1], false)];
    let owner = Arc::new(Place { pools, gauge: Gauge::default() });
    let place = &owner;
    let run = &|seed: u64| {
        let mut random = Random::new(seed);
        let size = 1 + random.below(40);
        let speech = Speech::random(&mut random, size, 2);
        let expected = speech.run_serially();
        let here = random.below(2) as usize;
        let result = place.pools[here].install(|| speech.run(place, here));
        assert_eq!(result, expected, "seed {seed}: {workers:?} workers, {tokens} tokens");
    };
    thread::scope(|scope| {
        let middle = first + (last - first) / 2;
        if alongside {
            scope.spawn(move || (first..middle).for_each(run));
        } else {
            (first..middle).for_each(run);
        }
        (middle..last).for_each(run);
    });
    let most = place.gauge.most();
    // Of those who come back from `blocking` when nobody is idle for long, or were seen to block.
    let overcommits: u64 = place.pools.iter().map(|pool| pool.stats().overcommits).sum();
    assert!(
        most <= total.min(tokens + 1 + overcommits as usize),
        "seeds {first}..{last}: {most} at once of {workers:?} workers on {tokens} tokens"
    );
    eventually("tokens come back", || jobserver.held() == 0);
    drop(owner);
    let threads = total - usize::from(adopts);
    eventually("threads end", || exits.load(Ordering::Relaxed) == threads);
}

#[test]
fn random_dialects_end_with_the_right_result_within_the_budget() {
    let seeds = seeds("RANDOM_DIALECTS", 0..500);
    let mut first = seeds.start;
    while first < seeds.end {
        let last = (first + PER_GROUP).min(seeds.end);
        must_end(&format!("seeds {first}..{last}"), move || run_group(first, last));
        first = last;
    }
}
