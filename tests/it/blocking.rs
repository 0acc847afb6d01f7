//! Workers that block in the program.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Condvar, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder, blocking};

use crate::pools::{pool_on, settled};
use crate::process::in_own_process;
use crate::support::{Gauge, eventually, must_end, pool, virtual_core};

/// A pool that looks for workers that block without a word.
fn watchful(jobserver: &Jobserver, workers: usize) -> ThreadPool {
    let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
    builder.build().expect("a pool of a sane size can be built")
}

/// Nothing is held any more, whatever was overcommitted.
fn at_rest(jobserver: &Jobserver, tokens: usize) {
    eventually("every token comes back", || jobserver.held() == 0);
    assert_eq!(jobserver.available().expect("a local budget can be counted"), tokens);
}

#[test]
fn what_blocks_makes_room_for_others() {
    for (workers, tokens) in [(2, 0), (4, 0), (8, 1), (16, 3)] {
        must_end(&format!("{workers} workers, {tokens} tokens"), move || {
            let (gauge, jobserver) = (Gauge::default(), Jobserver::new(tokens));
            let pool = pool_on(&jobserver, workers);
            // So many that all of them are within `blocking` at once.
            let meeting = Barrier::new(workers);
            let each = |_: rayon_jobserver::BroadcastContext<'_>| {
                gauge.leaf(|| virtual_core(Duration::from_micros(100)));
                blocking(|| meeting.wait());
                gauge.leaf(|| virtual_core(Duration::from_micros(100)));
            };
            pool.broadcast(each);
            assert_eq!(gauge.total(), 2 * workers);
            settled(&gauge, &jobserver, tokens, &[&pool]);
        });
    }
}

#[test]
fn a_stream_of_blocking_jobs_keeps_the_budget() {
    for tokens in [0, 1, 3] {
        must_end(&format!("{tokens} tokens"), move || {
            let (gauge, jobserver) = (Gauge::default(), Jobserver::new(tokens));
            let pool = pool_on(&jobserver, 8);
            let all = (0..200).into_par_iter().with_max_len(1);
            pool.install(|| {
                all.for_each(|_| {
                    gauge.leaf(|| virtual_core(Duration::from_micros(50)));
                    blocking(|| virtual_core(Duration::from_micros(300)));
                    gauge.leaf(|| virtual_core(Duration::from_micros(50)));
                });
            });
            assert_eq!(gauge.total(), 400);
            settled(&gauge, &jobserver, tokens, &[&pool]);
        });
    }
}

/// No second token is needed to wait for a child, not even without a word.
#[cfg(target_os = "linux")]
#[test]
fn a_job_that_waits_for_a_child_process_makes_room_for_others() {
    must_end("the child", || {
        let pool = watchful(&Jobserver::new(0), 2);
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut child = child.expect("a child");
        let input = child.stdin.take().expect("it was asked for");
        let (status, ()) = pool.join(move || child.wait(), move || drop(input));
        assert!(status.expect("it is a child of this process").success());
        assert!(pool.stats().lendings > 0);
    });
}

/// What a child computes is paid for by the token of whoever waits for it, which nobody else may have meanwhile.
#[cfg(target_os = "linux")]
#[test]
fn children_that_compute_are_jobs_of_the_pool() {
    let compute = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    for tokens in [0, 1] {
        must_end("the children", move || {
            let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(Jobserver::new(tokens));
            // Longer than a crowded machine takes to start one, and shorter than any takes.
            let builder = builder.detect_blocking(Some(Duration::from_millis(60)));
            let (pool, gauge) = (builder.build().expect("four workers"), Gauge::default());
            pool.scope(|scope| {
                for number in 0..8 {
                    let gauge = &gauge;
                    scope.spawn(move |_| {
                        gauge.leaf(|| {
                            let mut child = Command::new("sh");
                            child.args(["-c", compute]).stdin(Stdio::null());
                            // By `wait4` and by `poll`.
                            let status = match number % 2 {
                                0 => child.status(),
                                _ => child.output().map(|output| output.status),
                            };
                            assert!(status.expect("there is a shell").success());
                        });
                    });
                }
            });
            assert_eq!((gauge.most(), gauge.total()), (tokens + 1, 8));
            assert_eq!(pool.stats().lendings, 0);
            at_rest(pool.jobserver(), tokens);
        });
    }
}

#[test]
fn calls_nest_and_panics_pass_through() {
    for workers in [1, 3] {
        must_end(&format!("{workers} workers"), move || {
            let pool = pool(workers, 0);
            assert_eq!(pool.install(|| blocking(|| blocking(|| 6) * 7)), 42);
            let caught = catch_unwind(AssertUnwindSafe(|| {
                pool.install(|| blocking(|| panic!("on purpose")));
            }));
            let payload = caught.expect_err("it panics");
            assert_eq!(payload.downcast_ref(), Some(&"on purpose"));
            assert_eq!(pool.install(|| 1), 1, "the pool goes on");
            at_rest(pool.jobserver(), 0);
        });
    }
}

#[test]
fn where_nothing_can_be_given_up_the_closure_just_runs() {
    assert_eq!(blocking(|| 1), 1, "no worker");
    let handled = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&handled);
    let builder = ThreadPoolBuilder::new().num_threads(3).jobserver(Jobserver::new(1));
    let again = std::sync::Arc::clone(&handled);
    let handlers = builder
        .start_handler(move |_| blocking(|| _ = count.fetch_add(1, Ordering::SeqCst)))
        .exit_handler(move |_| blocking(|| _ = again.fetch_add(10, Ordering::SeqCst)));
    drop(handlers.build().expect("three workers"));
    eventually("all have started and ended", || handled.load(Ordering::SeqCst) == 33);
}

#[test]
fn a_thread_outside_gives_its_token_up() {
    must_end("two threads and one token", || {
        let jobserver = Jobserver::new(1);
        let token = jobserver.acquire();
        assert!(jobserver.try_acquire().is_none());
        blocking(|| {
            let other = jobserver.clone();
            let take = move || drop(other.acquire());
            thread::spawn(take).join().expect("it gets the token");
        });
        assert!(jobserver.try_acquire().is_none(), "it is back");
        drop(token);
        at_rest(&jobserver, 1);

        let token = jobserver.acquire();
        blocking(|| drop(token));
        at_rest(&jobserver, 1);
    });
}

/// Once each could have one of the tokens that the other waited for.
#[test]
fn threads_that_hold_several_tokens_give_up_one_and_never_wait_for_each_other() {
    must_end("two threads and three tokens", || {
        let jobserver = Jobserver::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..5_000 {
                        let _own = jobserver.acquire();
                        let _others = [jobserver.try_acquire(), jobserver.try_acquire()];
                        blocking(thread::yield_now);
                    }
                });
            }
        });
        let held = [(); 3].map(|()| jobserver.acquire());
        blocking(|| {
            assert_eq!((jobserver.held(), jobserver.available().expect("its own")), (2, 1))
        });
        assert_eq!(jobserver.held(), 3);
        drop(held);
        at_rest(&jobserver, 3);
    });
}

/// Meanwhile the pool's other worker has the only token and nothing to do, and a pool that nobody calls has the own
/// slot.
#[test]
fn a_job_may_wait_for_a_thread_that_waits_for_a_token() {
    let test = "blocking::a_job_may_wait_for_a_thread_that_waits_for_a_token";
    in_own_process(test, &[], || {
        must_end("the thread gets the token", || {
            let jobserver = Jobserver::new(1);
            let global = ThreadPoolBuilder::new().num_threads(2).jobserver(jobserver.clone());
            global.build_global().expect("there is none yet");
            for workers in [1, 2, 4] {
                let pool = watchful(&jobserver, workers);
                let (send, receive) = mpsc::channel();
                let thread = thread::spawn({
                    let jobserver = jobserver.clone();
                    move || {
                        let () = receive.recv().expect("the job has begun");
                        drop(jobserver.acquire());
                    }
                });
                pool.install(|| {
                    send.send(()).expect("the thread waits");
                    blocking(|| thread.join()).expect("it gets the token");
                });
            }
            at_rest(&jobserver, 1);
        });
    });
}

/// What waits within `blocking` for jobs of its pool is a worker like any other.
#[test]
fn jobs_within_a_blocking_closure_finish() {
    for tokens in [0, 1] {
        must_end(&format!("{tokens} tokens"), move || {
            let pool = pool(3, tokens);
            for _ in 0..50 {
                let inner = || blocking(|| rayon::join(|| 1, || virtual_core(Duration::ZERO)));
                let (one, ()) = pool.install(inner);
                assert_eq!(one, 1);
                let sum: i32 = pool.install(|| blocking(|| (0..64).into_par_iter().sum()));
                assert_eq!(sum, 2016);
            }
            at_rest(pool.jobserver(), tokens);
        });
    }
}

/// Where workers cannot be seen to block. Once one that ran such a job while it waited for another pool, which it had
/// announced by `blocking`, kept the only fund.
#[test]
fn a_job_that_blocks_may_be_run_by_one_that_waits_within_a_blocking_closure() {
    must_end("three of six threads wait for another pool", || {
        for _ in 0..6 {
            let jobserver = Jobserver::new(0);
            let [first, second] = [8, 2].map(|workers| {
                let builder = ThreadPoolBuilder::new().num_threads(workers);
                let builder = builder.jobserver(jobserver.clone()).detect_blocking(None);
                builder.build().expect("a few workers")
            });
            let by_another_pool = || {
                first.install(|| {
                    blocking(|| second.install(|| virtual_core(Duration::from_millis(3))))
                });
            };
            let by_a_message = || {
                first.install(|| {
                    let (send, receive) = mpsc::channel();
                    rayon::spawn(move || {
                        virtual_core(Duration::from_micros(300));
                        send.send(()).expect("it is received");
                    });
                    blocking(|| receive.recv()).expect("it is sent");
                });
            };
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| (0..10).for_each(|_| by_another_pool()));
                    scope.spawn(|| (0..10).for_each(|_| by_a_message()));
                }
            });
            at_rest(&jobserver, 0);
        }
    });
}

#[test]
fn a_pool_dropped_while_a_job_blocks_ends_after_it() {
    must_end("the drop", || {
        let (jobserver, (send, receive)) = (Jobserver::new(1), mpsc::channel());
        let pool = pool_on(&jobserver, 2);
        let (done, end) = mpsc::channel();
        let (begun, begin) = mpsc::channel();
        pool.spawn(move || {
            let got: i32 = blocking(|| {
                begun.send(()).expect("the test waits");
                receive.recv().expect("the test sends")
            });
            done.send(got).expect("the test waits");
        });
        begin.recv().expect("the job begins");
        drop(pool);
        send.send(5).expect("the job waits");
        assert_eq!(end.recv(), Ok(5));
        at_rest(&jobserver, 1);
    });
}

/// Once the turns and probes of idle workers passed for jobs: they kept their tokens, and the pool did not look busy
/// enough to be searched for workers that block.
#[test]
fn idle_workers_keep_no_tokens_beside_a_job_that_blocks() {
    for (tokens, workers) in [(7, 3), (7, 16), (15, 64)] {
        must_end(&format!("{tokens} tokens, {workers} workers"), move || {
            let jobserver = Jobserver::new(tokens);
            let pool = watchful(&jobserver, workers);
            let (send, receive) = mpsc::channel();
            pool.broadcast(|_| ());
            pool.spawn(move || receive.recv().expect("the test sends"));
            // The job itself needs none as soon as it is seen to block.
            eventually("the job is seen to block", || pool.stats().lendings > 0);
            at_rest(&jobserver, tokens);
            send.send(()).expect("the job waits");
        });
    }
}

/// Something computed once, on whoever comes first, by a parallel loop, while others wait for it.
#[test]
fn a_lock_held_across_a_parallel_loop_is_no_deadlock() {
    for tokens in [0, 1, 3] {
        must_end(&format!("OnceLock, {tokens} tokens"), move || {
            let pool = pool(4, tokens);
            for _ in 0..5 {
                let cell = OnceLock::new();
                let leaves = || (0..8).into_par_iter().with_max_len(1);
                let value = || {
                    *cell.get_or_init(|| {
                        leaves().for_each(|_| virtual_core(Duration::from_micros(50)));
                        leaves().sum::<u32>()
                    })
                };
                assert_eq!(pool.broadcast(|_| value()), [28; 4]);
                assert_eq!(pool.broadcast(|_| blocking(|| *cell.wait())), [28; 4]);
            }
            at_rest(pool.jobserver(), tokens);
        });
        for seen in [true, false] {
            must_end(&format!("Mutex across blocking, {tokens} tokens"), move || {
                // Some are seen to block; the others go on unfunded.
                let jobserver = Jobserver::new(tokens);
                let pool = if seen { watchful(&jobserver, 4) } else { pool(4, tokens) };
                let lock = Mutex::new(0);
                for _ in 0..5 {
                    pool.broadcast(|_| {
                        let mut count = lock.lock().expect("nobody panics");
                        // It comes back with a lock that the funded ones wait for.
                        blocking(|| virtual_core(Duration::from_micros(100)));
                        *count += 1;
                    });
                }
                assert_eq!(*lock.lock().expect("nobody panics"), 20);
                at_rest(pool.jobserver(), tokens);
            });
        }
    }
}

fn meet(pool: &ThreadPool, parties: usize) {
    let meeting = Barrier::new(parties);
    pool.broadcast(|_| _ = meeting.wait());
}

#[cfg(target_os = "linux")]
#[test]
fn jobs_that_need_each_other_alive_meet_all_the_same() {
    for (workers, tokens) in [(8, 0), (8, 3), (2, 0)] {
        must_end(&format!("a barrier of {workers}, {tokens} tokens"), move || {
            let pool = watchful(&Jobserver::new(tokens), workers);
            meet(&pool, workers);
            let stats = pool.stats();
            assert!(stats.lendings > 0, "somebody blocked: {stats:?}");
            assert!(stats.overcommits <= stats.lendings, "{stats:?}");
            at_rest(pool.jobserver(), tokens);
        });
    }
}

/// On stock rayon this ends with as many threads as there are jobs (rayon-rs/rayon#1269).
#[cfg(target_os = "linux")]
#[test]
fn jobs_that_wait_for_messages_of_other_jobs_finish() {
    for tokens in [0, 1] {
        must_end(&format!("a chain of channels, {tokens} tokens"), move || {
            let pool = watchful(&Jobserver::new(tokens), 4);
            let (first, mut last) = mpsc::channel();
            pool.scope(|scope| {
                // Each passes on what the one before it sends; whoever spawns them takes the last one first.
                for _ in 0..4 {
                    let (send, receive) = mpsc::channel();
                    let before = std::mem::replace(&mut last, receive);
                    scope.spawn(move |_| {
                        let number: u32 = before.recv().expect("the one before it sends");
                        send.send(number + 1).expect("the one after it waits");
                    });
                }
                first.send(0).expect("the first one waits");
            });
            assert_eq!(last.recv(), Ok(4));
            let stats = pool.stats();
            assert!(stats.lendings > 0 || tokens > 0, "the last one blocked: {stats:?}");
            at_rest(pool.jobserver(), tokens);
        });
    }
}

#[cfg(target_os = "linux")]
#[test]
fn two_pools_that_block_on_each_other_finish() {
    must_end("two pools on the own slot", || {
        let jobserver = Jobserver::new(0);
        let pools = [watchful(&jobserver, 2), watchful(&jobserver, 2)];
        for _ in 0..3 {
            let turn = (Mutex::new(0), Condvar::new());
            thread::scope(|scope| {
                for (me, pool) in pools.iter().enumerate() {
                    let turn = &turn;
                    scope.spawn(move || {
                        pool.install(|| {
                            for round in 0..2 {
                                let wanted = 2 * round + me;
                                let now = turn.0.lock().expect("nobody panics");
                                let wait = turn.1.wait_while(now, |now| *now != wanted);
                                *wait.expect("nobody panics") += 1;
                                turn.1.notify_all();
                            }
                        });
                    });
                }
            });
        }
        at_rest(&jobserver, 0);
    });
}

#[test]
fn nothing_is_overcommitted_where_nobody_blocks() {
    must_end("a busy pool", || {
        let pool = watchful(&Jobserver::new(1), 4);
        let busy = |index: u64| (0..20_000).fold(index, |sum, step| sum.wrapping_mul(31) ^ step);
        let right = (0..200).map(busy).fold(0, u64::wrapping_add);
        for _ in 0..20 {
            let sum = pool
                .install(|| (0..200_u64).into_par_iter().map(busy).reduce(|| 0, u64::wrapping_add));
            assert_eq!(sum, right);
        }
        let stats = pool.stats();
        assert_eq!((stats.lendings, stats.overcommits), (0, 0), "{stats:?}");
        at_rest(pool.jobserver(), 1);
    });
}

/// Once it waited on the own slot for threads that needed it.
#[test]
fn a_job_can_build_a_scoped_pool_on_what_it_runs_on() {
    must_end("the scoped pool", || {
        let jobserver = Jobserver::new(0);
        let builder = || {
            ThreadPoolBuilder::new()
                .num_threads(2)
                .jobserver(jobserver.clone())
                .detect_blocking(None)
        };
        let outer = builder().build().expect("a pool of a sane size can be built");
        let gauge = Gauge::default();
        let leaf = || gauge.leaf(|| virtual_core(Duration::from_micros(100)));
        let within = || {
            let built = builder().build_scoped(
                |thread| thread.run(),
                |inner| {
                    inner.join(leaf, leaf);
                },
            );
            built.expect("a pool of a sane size can be built");
        };
        outer.join(within, within);
        assert_eq!((gauge.most(), gauge.total()), (1, 4));
        drop(outer);
        at_rest(&jobserver, 0);
    });
}
