//! Several pools on one jobserver.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rayon::prelude::*;
use rayon_jobserver::{
    BroadcastContext, Jobserver, ThreadBuilder, ThreadPool, ThreadPoolBuilder, blocking, global,
};

use crate::process::in_own_process;
use crate::support::{Gauge, eventually, must_end, virtual_core};

const LEAF: Duration = Duration::from_micros(200);

/// A pool of `workers` workers on a jobserver that others use too.
pub(crate) fn pool_on(jobserver: &Jobserver, workers: usize) -> ThreadPool {
    let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
    // Leaves sleep in place of cores.
    builder.detect_blocking(None).build().expect("a pool of a sane size can be built")
}

/// Whatever ran has kept the budget and brought everything back.
pub(crate) fn settled(gauge: &Gauge, jobserver: &Jobserver, tokens: usize, pools: &[&ThreadPool]) {
    let most = gauge.most();
    assert!(most <= tokens + 1, "{most} at once with {tokens} tokens");
    eventually("every token comes back", || jobserver.held() == 0);
    assert_eq!(jobserver.available().expect("a local budget can be counted"), tokens);
    assert_eq!(jobserver.losses(), 0);
    for pool in pools {
        eventually("the pool is idle", || pool.stats().admitted == 0);
        assert_eq!(pool.stats().overcommits, 0, "{:?}", pool.stats());
    }
}

/// Leaves that stand in for cores, `wide` of them, each counted.
pub(crate) fn leaves(gauge: &Gauge, wide: usize) {
    let all = (0..wide).into_par_iter().with_max_len(1);
    all.for_each(|_| gauge.leaf(|| virtual_core(LEAF)));
}

#[test]
fn pools_together_keep_the_budget_of_one() {
    for tokens in [0, 1, 2, 5, 9] {
        must_end(&format!("three pools, {tokens} tokens"), move || {
            let (gauge, jobserver) = (Gauge::default(), Jobserver::new(tokens));
            let pools = [4, 1, 8].map(|workers| pool_on(&jobserver, workers));
            thread::scope(|scope| {
                for pool in &pools {
                    for _ in 0..2 {
                        let gauge = &gauge;
                        scope.spawn(move || {
                            for wide in [1, 20, 3, 40] {
                                pool.install(|| leaves(gauge, wide));
                            }
                        });
                    }
                }
            });
            assert_eq!(gauge.total(), 3 * 2 * 64);
            settled(&gauge, &jobserver, tokens, &pools.each_ref());
        });
    }
}

#[test]
fn calls_from_pool_to_pool_and_back_finish() {
    for tokens in [0, 1, 3] {
        for workers in [(1, 1), (1, 3), (4, 4)] {
            must_end(&format!("A to B to A, {workers:?} workers, {tokens} tokens"), move || {
                let (gauge, jobserver) = (Gauge::default(), Jobserver::new(tokens));
                let a = pool_on(&jobserver, workers.0);
                let b = pool_on(&jobserver, workers.1);
                let there_and_back = || {
                    a.install(|| {
                        leaves(&gauge, 3);
                        let answer = b.install(|| {
                            leaves(&gauge, 3);
                            a.install(|| {
                                leaves(&gauge, 3);
                                b.install(|| 42)
                            })
                        });
                        leaves(&gauge, 3);
                        answer
                    })
                };
                assert_eq!(there_and_back(), 42);
                thread::scope(|scope| {
                    let callers: Vec<_> = (0..4).map(|_| scope.spawn(there_and_back)).collect();
                    callers.into_iter().for_each(|caller| assert_eq!(caller.join().unwrap(), 42));
                });
                settled(&gauge, &jobserver, tokens, &[&a, &b]);
            });
        }
    }
}

#[test]
fn pools_that_wait_for_each_others_work_finish() {
    for tokens in [0, 1, 3] {
        for workers in [1, 2, 4] {
            must_end(&format!("mutual waits, {workers} workers, {tokens} tokens"), move || {
                let (gauge, jobserver) = (Gauge::default(), Jobserver::new(tokens));
                let a = pool_on(&jobserver, workers);
                let b = pool_on(&jobserver, workers);
                thread::scope(|scope| {
                    let (a, b, gauge) = (&a, &b, &gauge);
                    for (one, other) in [(a, b), (b, a)] {
                        scope.spawn(move || {
                            for _ in 0..20 {
                                // The latch that this waits for is set by the other pool.
                                one.install(|| other.install(|| leaves(gauge, 2)));
                                one.scope(|scope| {
                                    scope.spawn(|_| other.install(|| leaves(gauge, 2)));
                                    scope.spawn(|_| leaves(gauge, 2));
                                });
                            }
                        });
                    }
                });
                settled(&gauge, &jobserver, tokens, &[&a, &b]);
            });
        }
    }
}

#[test]
fn a_scope_of_one_pool_may_be_filled_by_another() {
    for tokens in [0, 1, 3] {
        must_end(&format!("a scope filled from elsewhere, {tokens} tokens"), move || {
            let (gauge, jobserver) = (Gauge::default(), Jobserver::new(tokens));
            let a = pool_on(&jobserver, 3);
            let b = pool_on(&jobserver, 3);
            for _ in 0..20 {
                // The jobs get into A's injector without A's governor being told.
                a.scope(|scope| {
                    b.install(|| (0..4).for_each(|_| scope.spawn(|_| leaves(&gauge, 2))));
                });
                a.in_place_scope(|scope| {
                    b.install(|| (0..4).for_each(|_| scope.spawn(|_| leaves(&gauge, 2))));
                });
            }
            assert_eq!(gauge.total(), 20 * 16);
            settled(&gauge, &jobserver, tokens, &[&a, &b]);
        });
    }
}

#[test]
fn broadcasts_among_pools_finish() {
    for tokens in [0, 1, 3] {
        must_end(&format!("broadcasts among pools, {tokens} tokens"), move || {
            let (gauge, jobserver) = (Gauge::default(), Jobserver::new(tokens));
            let a = pool_on(&jobserver, 3);
            let b = pool_on(&jobserver, 4);
            let inner = || a.broadcast(|_| gauge.leaf(|| virtual_core(LEAF))).len();
            assert_eq!(a.install(|| b.broadcast(|_| inner())), [3; 4]);
            assert_eq!(b.install(inner), 3);
            assert_eq!(a.install(inner), 3);
            settled(&gauge, &jobserver, tokens, &[&a, &b]);
        });
    }
}

#[test]
fn broadcasts_within_broadcasts_of_one_pool_finish() {
    for tokens in [0, 1, 3] {
        // In a wide one as many wait for those that have not had their turns.
        for workers in [1, 2, 3, 5, 64] {
            must_end(&format!("{workers} workers, {tokens} tokens"), move || {
                let (gauge, jobserver) = (Gauge::default(), Jobserver::new(tokens));
                let pool = pool_on(&jobserver, workers);
                for _ in 0..if workers > 5 { 1 } else { 5 } {
                    let inner = |_: BroadcastContext<'_>| {
                        rayon::broadcast(|_| gauge.leaf(std::thread::yield_now)).len()
                    };
                    assert_eq!(pool.broadcast(inner), vec![workers; workers]);
                }
                settled(&gauge, &jobserver, tokens, &[&pool]);
            });
        }
    }
}

#[test]
fn a_copy_that_blocks_in_its_turn_lets_the_others_run() {
    for tokens in [0, 2] {
        must_end(&format!("a broadcast whose copies wait, {tokens} tokens"), move || {
            let jobserver = Jobserver::new(tokens);
            for sender in 0..3 {
                let pool = pool_on(&jobserver, 3);
                let (send, receive) = mpsc::channel();
                let receive = Mutex::new(receive);
                // A fresh pool: its workers run their copies before they were ever admitted to work.
                let copies = pool.broadcast(|copy| {
                    if copy.index() == sender {
                        send.send(sender).expect("somebody waits");
                    } else if copy.index() == (sender + 1) % 3 {
                        let wait = || receive.lock().expect("nobody panics").recv();
                        assert_eq!(blocking(wait), Ok(sender));
                    }
                });
                assert_eq!(copies.len(), 3);
            }
        });
    }
}

#[test]
fn the_own_slot_serves_whichever_pool_needs_it() {
    must_end("turns on the own slot", || {
        let (gauge, jobserver) = (Gauge::default(), Jobserver::new(0));
        let pools = [1, 2, 5].map(|workers| pool_on(&jobserver, workers));
        // One after another: the slot must have come free.
        for pool in pools.iter().chain(pools.iter().rev()) {
            pool.install(|| leaves(&gauge, 5));
        }
        // All at once: it must go round.
        let begin = Barrier::new(pools.len());
        thread::scope(|scope| {
            for pool in &pools {
                scope.spawn(|| {
                    begin.wait();
                    (0..20).for_each(|_| pool.install(|| leaves(&gauge, 2)));
                });
            }
        });
        settled(&gauge, &jobserver, 0, &pools.each_ref());
    });
}

#[test]
fn a_pool_that_never_pauses_makes_room_for_another() {
    must_end("one pool beside a busy one", || {
        let (gauge, jobserver) = (Gauge::default(), Jobserver::new(1));
        let (busy, other) = (pool_on(&jobserver, 2), pool_on(&jobserver, 2));
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            // One call without end, as far as the pool can see, that could use both funds.
            scope.spawn(|| {
                busy.install(|| {
                    while !done.load(Ordering::Relaxed) {
                        leaves(&gauge, 2);
                    }
                });
            });
            (0..5).for_each(|_| other.install(|| leaves(&gauge, 2)));
            done.store(true, Ordering::Relaxed);
        });
        settled(&gauge, &jobserver, 1, &[&busy, &other]);
    });
}

#[test]
fn threads_outside_any_pool_share_the_budget() {
    for tokens in [1, 2, 4] {
        must_end(&format!("outside threads, {tokens} tokens"), move || {
            let (gauge, jobserver) = (Gauge::default(), Jobserver::new(tokens));
            let pool = pool_on(&jobserver, 4);
            thread::scope(|scope| {
                let (gauge, jobserver, pool) = (&gauge, &jobserver, &pool);
                for _ in 0..3 {
                    scope.spawn(move || {
                        for _ in 0..20 {
                            let _token = jobserver.acquire();
                            gauge.leaf(|| virtual_core(LEAF));
                        }
                    });
                }
                scope.spawn(move || {
                    for _ in 0..200 {
                        if let Some(_token) = jobserver.try_acquire() {
                            gauge.leaf(|| virtual_core(LEAF / 4));
                        }
                    }
                });
                (0..20).for_each(|_| pool.install(|| leaves(gauge, 8)));
            });
            settled(&gauge, &jobserver, tokens, &[&pool]);
        });
    }
}

#[test]
fn a_hosts_client_is_shared_by_pools_and_threads_and_the_host() {
    for tokens in [1, 3, 5] {
        must_end(&format!("a client of {tokens} tokens"), move || {
            let client = jobserver::Client::new(tokens).expect("a pipe");
            let (gauge, jobserver) = (Gauge::default(), Jobserver::from_client(client.clone()));
            let pools = [pool_on(&jobserver, 4), pool_on(&jobserver, 3)];
            thread::scope(|scope| {
                let (gauge, jobserver, client) = (&gauge, &jobserver, &client);
                for _ in 0..2 {
                    scope.spawn(move || {
                        for _ in 0..20 {
                            let _token = jobserver.acquire();
                            gauge.leaf(|| virtual_core(LEAF));
                        }
                    });
                }
                scope.spawn(move || {
                    for _ in 0..20 {
                        let _token = client.acquire().expect("the pipe is sound");
                        gauge.leaf(|| virtual_core(LEAF));
                    }
                });
                for pool in &pools {
                    scope.spawn(move || (0..20).for_each(|_| pool.install(|| leaves(gauge, 8))));
                }
            });
            settled(&gauge, &jobserver, tokens, &pools.each_ref());
        });
    }
}

#[test]
fn jobs_that_panic_lose_no_token() {
    must_end("panics", || {
        let (gauge, jobserver) = (Gauge::default(), Jobserver::new(3));
        let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone());
        let pool =
            builder.panic_handler(|_| ()).detect_blocking(None).build().expect("a small pool");
        for round in 0..50 {
            let all = (0..16).into_par_iter().with_max_len(1);
            let work = || {
                all.for_each(|n| {
                    gauge.leaf(|| virtual_core(LEAF));
                    assert!(n != round % 16, "as planned");
                });
            };
            assert!(catch_unwind(AssertUnwindSafe(|| pool.install(work))).is_err());
            pool.spawn(|| panic!("as planned"));
            pool.spawn_broadcast(|_| panic!("as planned"));
        }
        settled(&gauge, &jobserver, 3, &[&pool]);
    });
}

/// A library that seized the global pool would leave its host without one.
#[test]
fn pools_of_ones_own_leave_the_global_one_to_the_host() {
    let test = "pools::pools_of_ones_own_leave_the_global_one_to_the_host";
    in_own_process(test, &[], || {
        must_end("a pool beside rayon's own", || {
            let pool = ThreadPoolBuilder::new().num_threads(3).jobserver(Jobserver::new(2)).build();
            let pool = pool.expect("three workers");
            let sum =
                pool.install(|| (0..100).into_par_iter().map(|_| blocking(|| 1)).sum::<i32>());
            assert_eq!(sum, 100);
            assert_eq!(pool.broadcast(|context| context.index()), [0, 1, 2]);
            let (send, receive) = mpsc::channel();
            pool.spawn(move || send.send(rayon::current_num_threads()).expect("the test waits"));
            assert_eq!(receive.recv(), Ok(3));
            drop(pool);

            let stock = rayon::ThreadPoolBuilder::new().num_threads(2);
            stock.build_global().expect("nobody has built it");
            assert_eq!(rayon::broadcast(|context| context.index()), [0, 1]);
            assert_eq!(rayon_jobserver::install(rayon::current_num_threads), 2);
            assert!(global::stats().is_none());
        });
    });
}

/// Once the pool kept the own slot for the first worker to come up, or took one in its handler for the worker that had
/// it.
#[test]
fn start_handlers_may_wait_for_another_pool() {
    for tokens in [0, 1] {
        must_end(&format!("{tokens} tokens"), move || {
            let jobserver = Jobserver::new(tokens);
            let other = Arc::new(pool_on(&jobserver, 2));
            // On another thread, whose call needs a fund, and on its own, where rayon has it look for jobs meanwhile.
            let by_a_thread = Arc::clone(&other);
            let waits = move |_| {
                let other = Arc::clone(&by_a_thread);
                thread::spawn(move || other.install(|| ())).join().expect("it ends");
            };
            let by_itself = Arc::clone(&other);
            let works = move |_| (0..20).for_each(|_| by_itself.install(|| virtual_core(LEAF)));
            for _ in 0..20 {
                let builder =
                    || ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone());
                let pool = builder().start_handler(waits.clone()).build().expect("four workers");
                assert_eq!(pool.install(|| 7), 7);
                let pool = builder().start_handler(works.clone()).build().expect("four workers");
                for _ in 0..20 {
                    assert_eq!(pool.join(|| 7, || 8), (7, 8));
                }
            }
            eventually("every token comes back", || jobserver.held() == 0);
            assert_eq!(other.install(|| 9), 9, "nobody has kept the own slot");
        });
    }
}

/// Once it parked unseen: nobody is told of a job's own broadcast, and the call that the job came by was over.
#[test]
fn a_worker_that_comes_up_late_runs_its_copy_of_a_job_s_broadcast() {
    must_end("a copy for each of two workers", || {
        let (come_up, late) = mpsc::channel::<()>();
        let late = Mutex::new(late);
        let builder = ThreadPoolBuilder::new().num_threads(2).jobserver(Jobserver::new(1));
        let builder = builder.start_handler(move |worker| {
            if worker == 1 {
                late.lock().expect("nobody panics").recv().expect("the test calls it");
            }
        });
        let pool = builder.build().expect("two workers");
        let (send, copies) = mpsc::channel();
        pool.spawn(move || {
            rayon::spawn_broadcast(move |context| {
                send.send(context.index()).expect("the test waits");
            });
        });
        assert_eq!(copies.recv(), Ok(0));
        eventually("the pool rests", || pool.stats().admitted == 0);
        come_up.send(()).expect("it waits");
        assert_eq!(copies.recv(), Ok(1));
    });
}

/// Once it parked with the second one in its queue, when no call was under way any more.
#[test]
fn what_a_job_spawns_that_is_run_in_a_start_handler_is_run_too() {
    must_end("a job that spawns another one", || {
        let (posted, waits) = mpsc::channel::<()>();
        let waits = Mutex::new(waits);
        let builder = ThreadPoolBuilder::new().num_threads(1).jobserver(Jobserver::new(0));
        let builder = builder.start_handler(move |_| {
            waits.lock().expect("nobody panics").recv().expect("the test posts a job");
            // As a wait for another pool does.
            while rayon::yield_now() != Some(rayon::Yield::Executed) {}
        });
        let pool = builder.build().expect("one worker");
        let (send, done) = mpsc::channel();
        pool.spawn(move || rayon::spawn(move || send.send(()).expect("the test waits")));
        posted.send(()).expect("it waits");
        assert_eq!(done.recv(), Ok(()));
    });
}

/// Nobody has called the pool.
#[test]
fn what_a_start_handler_spawns_is_run() {
    must_end("a job of a start handler's", || {
        let (send, done) = mpsc::channel();
        let builder = ThreadPoolBuilder::new().num_threads(2).jobserver(Jobserver::new(0));
        let builder = builder.start_handler(move |_| {
            let send = send.clone();
            rayon::spawn(move || send.send(()).expect("the test waits"));
        });
        let _pool = builder.build().expect("two workers");
        assert_eq!(done.iter().take(2).count(), 2);
    });
}

/// Once the copies lay in the queues of workers that had parked meanwhile until the pool's next call: that by which the
/// first job came was over.
#[test]
fn a_broadcast_by_a_job_that_a_job_has_spawned_runs_on_every_worker() {
    for workers in [2, 4] {
        must_end(&format!("a copy for each of {workers} workers"), move || {
            let builder = ThreadPoolBuilder::new().num_threads(workers).detect_blocking(None);
            let pool = builder.jobserver(Jobserver::new(1)).build().expect("some workers");
            let (send, copies) = mpsc::channel();
            let (go_on, waits) = mpsc::channel::<()>();
            pool.spawn(move || {
                rayon::spawn(move || {
                    waits.recv().expect("the test goes on");
                    rayon::spawn_broadcast(move |context| {
                        send.send(context.index()).expect("the test waits");
                    });
                });
            });
            let stats = || pool.stats();
            eventually("who found nothing parks", || {
                stats().retirements > 0 && stats().admitted == 1
            });
            go_on.send(()).expect("it waits");
            assert_eq!(copies.iter().take(workers).count(), workers);
        });
    }
}

/// Once the pool had ended by then, and the copy ran beyond the budget.
#[test]
fn a_thread_that_comes_up_after_its_pool_was_dropped_runs_its_copy_of_a_broadcast_on_a_fund() {
    must_end("the late copy", || {
        let (jobserver, gauge) = (Jobserver::new(0), Arc::new(Gauge::default()));
        let (held, late) = mpsc::channel();
        let builder = ThreadPoolBuilder::new().num_threads(2).jobserver(jobserver.clone());
        let spawn = move |worker: ThreadBuilder| {
            if worker.index() == 0 {
                thread::spawn(|| worker.run());
            } else {
                held.send(worker).expect("the test waits");
            }
            Ok(())
        };
        let builder = builder.detect_blocking(None).spawn_handler(spawn);
        let pool = builder.build().expect("a pool of a sane size can be built");
        let copies = Arc::clone(&gauge);
        // From within, so that it is no call from outside, which the pool would wait for.
        pool.install(|| pool.spawn_broadcast(move |_| copies.leaf(|| virtual_core(LEAF))));
        drop(pool);
        let other = pool_on(&jobserver, 1);
        let beside = move || {
            let worker = late.recv().expect("it was held back");
            thread::spawn(|| worker.run());
            virtual_core(100 * LEAF);
        };
        other.install(|| gauge.leaf(beside));
        eventually("all copies run", || gauge.total() == 3);
        settled(&gauge, &jobserver, 0, &[&other]);
    });
}
