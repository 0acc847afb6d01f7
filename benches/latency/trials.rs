//! What is tried repeatedly.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon_jobserver::Jobserver;

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
        enter(&|| {
            let jobs = (0..WORKERS * 20).into_par_iter().with_max_len(1);
            jobs.for_each(|_| nap(Duration::from_millis(1)));
        });
        let end = Instant::now();
        while budget.mine.held() > 0 {
            thread::sleep(Duration::from_micros(100)); // as little in the way as can be
        }
        end.elapsed()
    }))
}

/// From the end of the last job until somebody has every token who began to wait meanwhile.
pub(crate) fn back_to_waiter(budget: &Budget, enter: Enter<'_>, trials: usize) -> Times {
    Times::of((0..trials).map(|_| {
        let (send, receive) = mpsc::channel();
        let begun = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !begun.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                let all: Vec<_> = (0..TOKENS).map(|_| budget.others.acquire()).collect();
                send.send(Instant::now()).expect("the trial waits");
                drop(all);
            });
            enter(&|| {
                // As wide as can be before the others begin to want tokens.
                (0..WORKERS * 20).into_par_iter().with_max_len(1).for_each(|index| {
                    nap(Duration::from_millis(1));
                    if index == WORKERS * 10 {
                        begun.store(true, Ordering::Release);
                    }
                });
            });
            let end = Instant::now();
            let back = receive.recv().expect("the waiter gets all");
            back.saturating_duration_since(end)
        })
    }))
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

/// Bare broadcasts with no token to be had, at all states of the heartbeat.
pub(crate) fn bare_broadcast(trials: usize) -> Times {
    Times::of((0..trials).map(|trial| {
        nap(Duration::from_millis(7 * trial as u64));
        let begin = Instant::now();
        assert_eq!(rayon::broadcast(|_| ()).len(), WORKERS);
        begin.elapsed()
    }))
}
