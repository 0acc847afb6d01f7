//! What is tried repeatedly.

use std::error::Error;
use std::io::{self, Read, Write};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder};

use crate::times::Times;
use crate::{TOKENS, WORKERS, nap};

/// Both ends of one jobserver.
#[derive(Debug)]
pub(crate) struct Budget {
    /// The pool's connection.
    pub(crate) mine: Jobserver,
    /// Everybody else's.
    pub(crate) others: Jobserver,
}

/// Runs a job in the pool that is tried.
pub(crate) type Enter<'a> = &'a (dyn Fn(&(dyn Fn() + Sync)) + Sync);

/// From the end of the last job until every token is back, with nobody who wants them.
pub(crate) fn back_alone(budget: &Budget, enter: Enter<'_>, trials: usize) -> Times {
    Times::of((0..trials).map(|_| {
        enter(&|| wide(&|| ()));
        let end = Instant::now();
        while budget.mine.held() > 0 {
            thread::sleep(Duration::from_micros(100)); // as little in the way as can be
        }
        end.elapsed()
    }))
}

/// From the end of the last job until somebody has every token who began to wait meanwhile.
pub(crate) fn back_to_waiter(budget: &Budget, enter: Enter<'_>, trials: usize) -> Times {
    let trial = |begin: &(dyn Fn() + Sync)| {
        let done = AtomicUsize::new(0);
        enter(&|| {
            // As wide as can be before the others begin to want tokens.
            wide(&|| {
                if done.fetch_add(1, Ordering::Relaxed) == WORKERS * 10 {
                    begin();
                }
            });
        });
    };
    Times::of((0..trials).map(|_| until_all_are_had(budget, trial)))
}

/// The same from the end of the last of many short calls, one right after another, of a pool that has `seen` somebody
/// wait for tokens, or has not.
pub(crate) fn back_after_loop(
    budget: &Budget,
    pool: &dyn Fn() -> ThreadPool,
    trials: usize,
    seen: bool,
) -> Times {
    const CALLS: usize = 2_000;
    let trial = |_| {
        let pool = pool();
        let enter: Enter<'_> = &|job| pool.install(job);
        if seen {
            back_to_waiter(budget, enter, 4);
        }
        until_all_are_had(budget, |begin| {
            enter(&|| wide(&|| ()));
            for call in 0..CALLS {
                if call == CALLS / 2 {
                    begin();
                }
                enter(&|| nap(Duration::from_micros(10)));
            }
        })
    };
    Times::of((0..trials).map(trial))
}

/// A call that has work for all workers for 20 ms. After each job it does what it is told to.
fn wide(after_each: &(dyn Fn() + Sync)) {
    (0..WORKERS * 20).into_par_iter().with_max_len(1).for_each(|_| {
        nap(Duration::from_millis(1));
        after_each();
    });
}

/// From the end of a trial, which says when somebody is to begin to wait for every token, until he has them.
fn until_all_are_had(budget: &Budget, trial: impl Fn(&(dyn Fn() + Sync))) -> Duration {
    let (send, receive) = mpsc::channel();
    thread::scope(|scope| {
        // Its end here is gone should the trial panic, so that the waiter ends, too.
        let (begin, begun) = mpsc::channel();
        scope.spawn(move || {
            begun.recv().expect("the trial begins");
            let all: Vec<_> = (0..TOKENS).map(|_| budget.others.acquire()).collect();
            send.send(Instant::now()).expect("the trial waits");
            drop(all);
        });
        trial(&|| begin.send(()).expect("the waiter waits"));
        let end = Instant::now();
        let back = receive.recv().expect("the waiter gets all");
        back.saturating_duration_since(end)
    })
}

/// How long a wide phase takes that follows on so much `serial` work within one call, on a pool of ours with tokens for
/// all and on one of stock rayon, which take turns.
pub(crate) fn after_serial(
    serial: Duration,
    trials: usize,
) -> Result<(Times, Times), Box<dyn Error>> {
    let jobserver = Jobserver::new(TOKENS);
    jobserver.configure(&mut Command::new("true"))?;
    let builder = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(jobserver);
    let ours = builder.detect_blocking(None).build()?;
    let stock = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?;
    let phases = || {
        let begin = Instant::now();
        while begin.elapsed() < serial {
            std::hint::spin_loop();
        }
        let begin = Instant::now();
        let jobs = (0..WORKERS).into_par_iter().with_max_len(1);
        jobs.for_each(|_| nap(Duration::from_millis(5)));
        begin.elapsed()
    };
    let times = (0..trials).map(|_| (ours.install(phases), stock.install(phases)));
    let (ours, stock): (Vec<_>, Vec<_>) = times.unzip();
    Ok((Times::of(ours), Times::of(stock)))
}

/// With nothing of ours: by how much a thread that sleeps oversleeps, the longest of as many times as threads wake up
/// until all tokens are back. What takes that long now and then is taken by the machine.
pub(crate) fn oversleeping(trials: usize) -> Times {
    let time = Duration::from_micros(100);
    // Of workers that take a probe, of whoever waits for the token of each, of the governor.
    let wakes = 2 * TOKENS + 4;
    let late = |_| {
        let begin = Instant::now();
        nap(time);
        begin.elapsed().saturating_sub(time)
    };
    Times::of((0..trials).map(|_| (0..wakes).map(late).max().unwrap_or_default()))
}

/// From a token's release by another client until a worker of ours runs on it.
pub(crate) fn growth(budget: &Budget, enter: Enter<'_>, trials: usize) -> Times {
    Times::of((0..trials).map(|_| {
        while budget.mine.held() > 0 {
            thread::yield_now();
        }
        let mut all: Vec<_> = (0..TOKENS).map(|_| budget.others.acquire()).collect();
        let running = AtomicUsize::new(0);
        let grown = OnceLock::new();
        let over = AtomicBool::new(false);
        let begin = thread::scope(|scope| {
            let worker = scope.spawn(|| {
                enter(&|| {
                    (0..64).into_par_iter().with_max_len(1).for_each(|_| {
                        if running.fetch_add(1, Ordering::SeqCst) == 1 {
                            grown.get_or_init(Instant::now);
                        }
                        while !over.load(Ordering::Acquire) && running.load(Ordering::SeqCst) < 2 {
                            nap(Duration::from_micros(50));
                        }
                    });
                });
            });
            while running.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            nap(Duration::from_millis(3));
            let begin = Instant::now();
            drop(all.pop());
            worker.join().expect("the jobs end");
            over.store(true, Ordering::Release);
            begin
        });
        let grown = grown.into_inner().expect("the second job has begun");
        grown.saturating_duration_since(begin)
    }))
}

/// The same with nothing of ours: from a byte written into a pipe until a thread runs that was unparked by the
/// one that read it, beside one that naps. A pool can hardly do with fewer wake-ups than these two.
pub(crate) fn two_wakes(trials: usize) -> io::Result<Times> {
    let trial = |(mut reader, mut writer): (io::PipeReader, io::PipeWriter)| {
        thread::scope(|scope| {
            let woken = scope.spawn(|| {
                thread::park();
                Instant::now()
            });
            let parked = woken.thread().clone();
            scope.spawn(move || {
                reader.read_exact(&mut [0]).expect("a byte is written");
                parked.unpark();
            });
            nap(Duration::from_millis(3));
            let begin = Instant::now();
            writer.write_all(&[0]).expect("there is room for a byte");
            woken.join().expect("it only waits").saturating_duration_since(begin)
        })
    };
    let times = thread::scope(|scope| {
        // Gone at the end, and should a trial panic.
        let (_going_on, over) = mpsc::channel::<()>();
        scope.spawn(move || {
            while over.try_recv() == Err(TryRecvError::Empty) {
                nap(Duration::from_micros(50));
            }
        });
        (0..trials).map(|_| Ok(trial(io::pipe()?))).collect::<io::Result<Vec<_>>>()
    })?;
    Ok(Times::of(times))
}

/// After a longer pause than 2.4 s the heartbeat slows down no more.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Bare broadcasts with no token to be had, at all states of the heartbeat: after pauses of no time, of the longest,
/// and between them, more of them short.
pub(crate) fn bare_broadcast(trials: usize) -> Times {
    Times::of((0..trials).map(|trial| {
        let part = trial as f64 / (trials - 1) as f64;
        nap(LONGEST_PAUSE.mul_f64(part * part));
        let begin = Instant::now();
        assert_eq!(rayon::broadcast(|_| ()).len(), WORKERS);
        begin.elapsed()
    }))
}
