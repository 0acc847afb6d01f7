//! Busy pools and others that want their tokens.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder, blocking, yield_token};

use crate::support::{eventually, must_end, virtual_core};

fn busy_pool(client: &jobserver::Client, fair: bool) -> ThreadPool {
    let jobserver = Jobserver::from_client(client.clone());
    let builder = ThreadPoolBuilder::new().num_threads(6).jobserver(jobserver);
    // Leaves sleep in place of cores.
    builder.detect_blocking(None).fair_share(fair).build().expect("six workers")
}

/// Keeps a pool busy until told otherwise, with more jobs than workers except where a loop ends.
fn work(pool: &ThreadPool, begun: &AtomicUsize, over: &AtomicBool) {
    pool.install(|| {
        begun.fetch_add(1, Ordering::Relaxed);
        while !over.load(Ordering::Relaxed) {
            let leaves = (0..1_000).into_par_iter().with_max_len(1);
            leaves.for_each(|_| virtual_core(Duration::from_millis(1)));
        }
    });
}

/// Tells others to stop when it is dropped, after a test that fails, too: if they went on, it would seem to hang.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `test` beside pools that work, and stops them after it.
fn beside<R>(pools: &[&ThreadPool], test: impl FnOnce() -> R) -> R {
    let (begun, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let _over = Over(&over);
        for pool in pools {
            // Two, for on a busy machine it may take longer from the end of one loop to the next than
            // tokens are kept for workers without a job.
            (0..2).for_each(|_| drop(scope.spawn(|| work(pool, &begun, &over))));
        }
        // A worker of `test` that waits for others would come to a loop that nobody has begun, and
        // not back from it.
        eventually("all work", || begun.load(Ordering::Relaxed) == 2 * pools.len());
        test()
    })
}

fn whole(client: &jobserver::Client, tokens: usize) {
    let available = || client.available().expect("a pipe can be counted");
    eventually("every token comes back", || available() == tokens);
}

/// Others get two of three tokens of a busy pool, and it gets them back.
fn two_tokens_to_others(pool: &ThreadPool, client: &jobserver::Client) {
    eventually("the pool has every token", || pool.stats().admitted == 4);
    let first = client.acquire().expect("the pipe is sound");
    let second = client.acquire().expect("the pipe is sound");
    eventually("the pool goes on with the others", || pool.stats().admitted == 2);
    drop((first, second));
    eventually("and takes them back", || pool.stats().admitted == 4);
}

/// It has done so within the budget, and leaves every token behind.
fn has_offered_two(pool: ThreadPool, client: &jobserver::Client) {
    let stats = pool.stats();
    assert!(stats.offers >= 2, "{stats:?}");
    assert_eq!((stats.peak, stats.overcommits), (4, 0));
    drop(pool);
    whole(client, 3);
}

#[test]
fn a_busy_pool_gives_others_a_token() {
    must_end("the one that waits", || {
        let client = jobserver::Client::new(3).expect("a pipe");
        let pool = busy_pool(&client, true);
        beside(&[&pool], || two_tokens_to_others(&pool, &client));
        has_offered_two(pool, &client);
    });
}

#[test]
fn pools_that_want_more_than_there_is_come_to_have_like_shares() {
    must_end("the late one", || {
        let client = jobserver::Client::new(4).expect("a pipe");
        let (early, late) = (busy_pool(&client, true), busy_pool(&client, true));
        beside(&[&early], || {
            eventually("the first has every token", || early.stats().admitted == 5);
            beside(&[&late], || {
                eventually("the late one has half of them", || late.stats().admitted == 3);
                eventually("and some go to and fro", || late.stats().offers > 2);
            });
        });
        drop((early, late));
        whole(&client, 4);
    });
}

#[test]
fn a_pool_that_must_not_give_way_offers_nothing() {
    must_end("the others", || {
        let clients = [(); 2].map(|()| jobserver::Client::new(3).expect("a pipe"));
        let (fair, unfair) = (busy_pool(&clients[0], true), busy_pool(&clients[1], false));
        beside(&[&fair, &unfair], || {
            eventually("the other is as wide as it can be", || unfair.stats().admitted == 4);
            let before = fair.stats().offers;
            eventually("the fair one has offered", || fair.stats().offers >= before + 3);
            assert_eq!(unfair.stats().offers, 0);
            // Not at any moment, for both loops may end together.
            eventually("the other is still as wide", || unfair.stats().admitted == 4);
        });
    });
}

/// An offer gives every worker a job of ours, parked ones too. These must not pile up, nor keep an
/// unannounced broadcast from being run.
#[test]
fn a_broadcast_within_a_busy_pool_is_run() {
    for fair in [true, false] {
        must_end("the broadcast", move || {
            let client = jobserver::Client::new(2).expect("a pipe");
            let pool = busy_pool(&client, fair);
            beside(&[&pool], || {
                eventually("the pool has every token", || pool.stats().admitted == 3);
                let all = pool.install(|| rayon::broadcast(|context| context.index()));
                assert_eq!(all, [0, 1, 2, 3, 4, 5]);
            });
        });
    }
}

/// A worker comes to a call to offer a token only when its own queue is empty, which within one call may be never.
#[test]
fn jobs_of_one_long_call_can_let_others_have_a_token() {
    must_end("the one that waits", || {
        let client = jobserver::Client::new(3).expect("a pipe");
        let pool = busy_pool(&client, true);
        let served = AtomicBool::new(false);
        let job = || {
            while !served.load(Ordering::Relaxed) {
                virtual_core(Duration::from_micros(100));
                yield_token();
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| pool.scope(|call| (0..6).for_each(|_| call.spawn(|_| job()))));
            let _served = Over(&served);
            two_tokens_to_others(&pool, &client);
        });
        has_offered_two(pool, &client);
    });
}

#[test]
fn jobs_that_yield_keep_the_tokens_of_a_pool_that_must_not_give_way() {
    must_end("jobs that yield", || {
        // It is no worker that says so.
        yield_token();
        let clients = [(); 2].map(|()| jobserver::Client::new(3).expect("a pipe"));
        let (fair, unfair) = (busy_pool(&clients[0], true), busy_pool(&clients[1], false));
        unfair.broadcast(|_| {
            yield_token();
            blocking(yield_token);
        });
        let (jobs, over) = ([const { AtomicUsize::new(0) }; 2], AtomicBool::new(false));
        let job = |jobs: &AtomicUsize| {
            jobs.fetch_add(1, Ordering::Relaxed);
            while !over.load(Ordering::Relaxed) {
                virtual_core(Duration::from_micros(100));
                yield_token();
            }
        };
        thread::scope(|scope| {
            let _over = Over(&over);
            for (pool, jobs) in [&fair, &unfair].into_iter().zip(&jobs) {
                let job = &job;
                scope.spawn(move || {
                    pool.scope(|call| (0..6).for_each(|_| call.spawn(move |_| job(jobs))));
                });
            }
            eventually("the unfair one is as wide as it can be", || {
                jobs[1].load(Ordering::Relaxed) == 4
            });
            let before = unfair.stats();
            // By then the pauses have become as long as they are where nothing is offered.
            eventually("the fair one has offered", || fair.stats().offers >= 7);
            let stats = unfair.stats();
            assert_eq!((stats.offers, stats.turns), (0, before.turns), "its jobs have made way");
            assert_eq!(jobs[1].load(Ordering::Relaxed), 4, "others have come to theirs");
        });
    });
}
