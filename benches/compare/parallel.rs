//! Runs the work. This file is compiled twice, so that the fork runs the very same code.

use std::fs;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::flavour::{self, prelude::*};
use crate::input;
use crate::jobs::Jobs;
use crate::work::{Kind, Scene, Work};

/// Runs the work once and tells how long it took.
pub(crate) fn run(work: &Work, scene: &Scene<'_>) -> Duration {
    let Scene { width, jobs, enter, grow } = *scene;
    match work.kind {
        Kind::Join { sections, leaves, time } => timed(|| {
            (0..sections).for_each(|_| enter(&|| tree(leaves * width, time, jobs)));
        }),
        Kind::Sort { numbers } => {
            let mut numbers = input::numbers(numbers).to_vec();
            let slot = Mutex::new(&mut numbers);
            timed(|| {
                enter(&|| slot.lock().expect("nobody has panicked").par_sort_unstable());
            })
        }
        Kind::Reduce { numbers, times } => {
            let numbers = input::numbers(numbers);
            timed(|| {
                (0..times).for_each(|_| enter(&|| _ = black_box(sum(numbers))));
            })
        }
        Kind::Sections { sections, time, gap } => timed(|| {
            for _ in 0..sections {
                enter(&|| tree(width, time, jobs));
                if !gap.is_zero() {
                    work.leaf.run(gap);
                }
            }
        }),
        Kind::Phases { phases, serial, leaves, time } => timed(|| {
            enter(&|| {
                for _ in 0..phases {
                    jobs.run_alone(serial);
                    wide(leaves * width, time, jobs);
                }
            });
        }),
        Kind::Tail { tail, leaves, time } => timed(|| {
            enter(&|| {
                flavour::join(|| jobs.run(tail), || wide(leaves * width, time, jobs));
            });
        }),
        Kind::Scopes { scopes, spawns, time } => timed(|| {
            (0..scopes).for_each(|_| enter(&|| scope(spawns * width, time, jobs)));
        }),
        Kind::Broadcasts { times, time } => timed(|| {
            (0..times).for_each(|_| enter(&|| _ = flavour::broadcast(|_| jobs.run(time))));
        }),
        Kind::Hash => {
            let files = input::to_hash();
            timed(|| {
                enter(&|| {
                    files.par_iter().for_each(|file| {
                        let bytes = fs::read(file).expect("it could be read before");
                        black_box(Sha256::digest(&bytes));
                    });
                });
            })
        }
        Kind::Parse => {
            let files = input::to_parse();
            timed(|| {
                enter(&|| {
                    files.par_iter().for_each(|file| {
                        let text = fs::read_to_string(file).expect("it could be read before");
                        // Some are tests of what no parser takes.
                        black_box(syn::parse_file(&text).is_ok());
                    });
                });
            })
        }
        Kind::Idle { pause, leaves, time } => {
            thread::sleep(pause);
            timed(|| enter(&|| tree(leaves * width, time, jobs)))
        }
        Kind::Awake => timed(|| {
            enter(&|| wide(20 * width, Duration::from_millis(1), jobs));
        }),
        Kind::Growing { leaves, time } => {
            let (count, done) = (leaves * width, AtomicUsize::new(0));
            timed(|| {
                enter(&|| {
                    (0..count).into_par_iter().with_max_len(1).for_each(|_| {
                        jobs.run(time);
                        if done.fetch_add(1, Ordering::SeqCst) + 1 == count / 4 {
                            grow();
                        }
                    });
                });
            })
        }
    }
}

fn timed(run: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    run();
    begin.elapsed()
}

fn tree(leaves: usize, time: Duration, jobs: &Jobs) {
    if leaves <= 1 {
        jobs.run(time);
    } else {
        let half = leaves / 2;
        flavour::join(|| tree(half, time, jobs), || tree(leaves - half, time, jobs));
    }
}

fn wide(leaves: usize, time: Duration, jobs: &Jobs) {
    (0..leaves).into_par_iter().with_max_len(1).for_each(|_| jobs.run(time));
}

/// Half of the jobs are spawned by the scope, and each of them spawns one more.
fn scope(spawns: usize, time: Duration, jobs: &Jobs) {
    flavour::scope(|scope| {
        for _ in 0..spawns / 2 {
            scope.spawn(move |scope| {
                scope.spawn(move |_| jobs.run(time));
                jobs.run(time);
            });
        }
    });
}

/// Enough for each number that memory is not all that counts.
fn sum(numbers: &[u64]) -> u64 {
    let mixed = numbers.par_iter().map(|&number| {
        (0..8).fold(number, |number, turn| {
            (number ^ (number >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9).rotate_left(turn)
        })
    });
    mixed.reduce(|| 0, u64::wrapping_add)
}
