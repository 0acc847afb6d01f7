//! Pools whose first worker is the thread that built them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder, global};

use crate::process::in_own_process;
use crate::random::program::{Program, Random};
use crate::support::{Gauge, eventually, must_end, pool, virtual_core};

const LEAF: Duration = Duration::from_micros(300);

/// A pool of the current thread and others, and how many of those have ended.
fn adopt(workers: usize, jobserver: &Jobserver) -> (ThreadPool, Arc<AtomicUsize>) {
    let exits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&exits);
    let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
    let builder = builder.use_current_thread().detect_blocking(None);
    let builder = builder.exit_handler(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    (builder.build().expect("a pool of a sane size can be built"), exits)
}

/// Waits until all threads have ended and hold nothing.
fn has_ended(workers: usize, exits: &AtomicUsize, jobserver: &Jobserver) {
    eventually("the other threads end", || exits.load(Ordering::SeqCst) == workers - 1);
    is_free(jobserver);
}

/// Waits until all tokens have come back, and the own slot is there for somebody else.
fn is_free(jobserver: &Jobserver) {
    eventually("tokens come back", || jobserver.held() == 0);
    let builder = ThreadPoolBuilder::new().num_threads(1).jobserver(jobserver.clone());
    assert_eq!(builder.build().expect("one worker").install(|| 1), 1);
}

#[test]
fn a_dropped_pool_ends_whatever_its_workers_did_last() {
    for (workers, tokens) in [(1, 0), (1, 1), (2, 0), (2, 1), (4, 0), (4, 2), (4, 5)] {
        must_end(&format!("{workers} workers, {tokens} tokens"), move || {
            let jobserver = Jobserver::new(tokens);
            let (pool, exits) = adopt(workers, &jobserver);
            for _ in 0..20 {
                // Whoever is done first waits for the other, and finds a probe there.
                rayon::join(|| virtual_core(LEAF), || virtual_core(2 * LEAF));
                rayon::join(|| virtual_core(2 * LEAF), || virtual_core(LEAF));
            }
            drop(pool);
            has_ended(workers, &exits, &jobserver);
        });
    }
}

#[test]
fn what_a_dropped_pool_still_has_to_do_is_done_within_the_budget() {
    for (workers, tokens) in [(2, 0), (3, 1), (6, 2)] {
        must_end(&format!("{workers} workers, {tokens} tokens"), move || {
            let jobserver = Jobserver::new(tokens);
            let gauge = Arc::new(Gauge::default());
            let (pool, exits) = adopt(workers, &jobserver);
            for _ in 0..40 {
                let gauge = Arc::clone(&gauge);
                pool.spawn(move || gauge.leaf(|| virtual_core(LEAF)));
            }
            drop(pool);
            eventually("all jobs are done", || gauge.total() == 40);
            let most = gauge.most();
            assert!(most <= tokens + 1, "{most} at once, {tokens} tokens");
            has_ended(workers, &exits, &jobserver);
        });
    }
}

/// The thread goes on within the pool it has dropped, and waits there for what others have begun.
#[test]
fn a_pool_that_is_dropped_by_a_job_of_its_own_ends() {
    for seed in 0..200 {
        must_end(&format!("seed {seed}"), move || {
            let mut random = Random::new(seed);
            let workers = 1 + random.below(6) as usize;
            let jobserver = Jobserver::new(random.below(workers as u64 + 2) as usize);
            let (pool, exits) = adopt(workers, &jobserver);
            let mut program = || {
                let size = 1 + random.below(60);
                Program::random(&mut random, size)
            };
            let programs = [program(), program(), program()];
            let run = |program: &Program| program.run(&|leaf| leaf());
            let (first, rest) = rayon::join(
                || {
                    let first = run(&programs[0]);
                    drop(pool);
                    [first, run(&programs[1])]
                },
                || run(&programs[2]),
            );
            let expected = programs.map(|program| program.run_serially());
            assert_eq!([first[0], first[1], rest], expected);
            has_ended(workers, &exits, &jobserver);
        });
    }
}

#[test]
fn a_loan_is_backed_by_the_next_fund_that_comes_back() {
    must_end("a thread on a loan", || {
        let other = pool(1, 1);
        let jobserver = other.jobserver().clone();
        let token = jobserver.acquire();
        let (begun, has_begun) = mpsc::channel();
        let (end, may_end) = mpsc::channel::<()>();
        other.spawn(move || {
            begun.send(()).expect("the test waits");
            may_end.recv().ok(); // a test that has failed says nothing
        });
        has_begun.recv().expect("the job begins");
        // Neither the token nor the own slot is to be had.
        let (pool, _) = adopt(2, &jobserver);
        assert_eq!((pool.stats().overcommits, jobserver.held()), (1, 1));
        drop(token);
        assert_eq!(jobserver.held(), 1, "the thread has it");
        assert_eq!(jobserver.available().expect("it can be counted"), 0);
        end.send(()).expect("the job waits");
        eventually("the own slot is as good", || jobserver.held() == 0);
        assert_eq!(pool.stats().overcommits, 1);
    });
}

/// Somebody else drops the pool while the thread is parked in a wait of its own.
/// Once it was taken for a worker that runs on and on.
#[cfg(target_os = "linux")]
#[test]
fn what_funded_a_builder_whose_thread_has_ended_is_there_for_others() {
    must_end("jobs beside and in a pool whose builder has ended", || {
        let jobserver = Jobserver::new(0);
        let build = || {
            let builder = ThreadPoolBuilder::new().num_threads(2).jobserver(jobserver.clone());
            builder.use_current_thread().build().expect("a pool of two")
        };
        let pool = thread::scope(|scope| scope.spawn(build).join().expect("nobody panics"));
        let builder = ThreadPoolBuilder::new().num_threads(1).jobserver(jobserver.clone());
        let other = builder.build().expect("a pool of one");
        for _ in 0..3 {
            assert_eq!(other.install(|| 1), 1);
            assert_eq!(pool.install(|| 2), 2);
        }
        drop(pool);
        is_free(&jobserver);
    });
}

#[test]
fn a_pool_that_is_dropped_by_another_thread_ends() {
    must_end("a pool in other hands", || {
        let jobserver = Jobserver::new(1);
        let (pool, exits) = adopt(2, &jobserver);
        let begun = &AtomicBool::new(false);
        let (dropped, was_dropped) = mpsc::channel::<()>();
        thread::scope(|threads| {
            threads.spawn(move || {
                eventually("the job begins", || begun.load(Ordering::SeqCst));
                // Beside a job that goes on a thread that waits gives its token back.
                eventually("it parks", || pool.stats().admitted == 1);
                drop(pool);
                dropped.send(()).expect("the job waits");
            });
            rayon::in_place_scope(|scope| {
                scope.spawn(move |_| {
                    begun.store(true, Ordering::SeqCst);
                    was_dropped.recv().expect("it will be");
                });
                // Not into the wait before the other worker has it.
                eventually("the job begins", || begun.load(Ordering::SeqCst));
            });
        });
        has_ended(2, &exits, &jobserver);
    });
}

/// Fair share asks every worker for a token, by a job in the queue of each. As long as the copy of the thread that has
/// left lies there, rayon's pool lives on: until that thread next waits for jobs of any pool. But it holds nothing.
#[test]
fn a_dropped_pool_that_was_asked_for_a_token_holds_nothing() {
    must_end("a contended pool", || {
        let jobserver = Jobserver::new(1);
        let (pool, exits) = adopt(3, &jobserver);
        let gauge = Arc::new(Gauge::default());
        let enough = Arc::new(AtomicBool::new(false));
        for _ in 0..100_000 {
            let (gauge, enough) = (Arc::clone(&gauge), Arc::clone(&enough));
            let time = move || if enough.load(Ordering::SeqCst) { Duration::ZERO } else { LEAF };
            pool.spawn(move || gauge.leaf(|| virtual_core(time())));
        }
        thread::scope(|scope| {
            scope.spawn(|| drop(jobserver.acquire()));
            // Not in the pool: what lies in this thread's own queue stays there.
            eventually("the token is offered", || pool.stats().offers > 0);
        });
        enough.store(true, Ordering::SeqCst);
        drop(pool);
        eventually("all jobs are done", || gauge.total() == 100_000);
        assert!(gauge.most() <= 2, "{} at once on one token", gauge.most());
        is_free(&jobserver);
        eventually("the other threads end", || exits.load(Ordering::SeqCst) == 2);
    });
}

/// Whether a call at once has all four workers of a pool that were of use before. On a crowded machine not all of them
/// always pass for having been of use.
fn is_announced(admitted: impl Fn() -> usize, wide: impl Fn(), call: impl Fn() -> usize) -> bool {
    (0..20).any(|_| {
        wide();
        eventually("it is idle", || admitted() == 1);
        call() == 4
    })
}

/// The thread also works outside the pool, so nothing else tells when it calls. As for a call from outside, the workers
/// that were of use before are woken at once.
#[test]
fn a_call_of_the_thread_that_built_the_pool_is_announced() {
    must_end("its calls", || {
        let jobserver = Jobserver::new(3);
        let (pool, exits) = adopt(4, &jobserver);
        let all = Barrier::new(4);
        let admitted = || pool.stats().admitted;
        let wide = || pool.scope(|scope| (0..4).for_each(|_| scope.spawn(|_| _ = all.wait())));
        assert!(is_announced(admitted, wide, || pool.install(admitted)));
        assert!(is_announced(admitted, wide, || pool.in_place_scope(|_| admitted())));
        drop(pool);
        has_ended(4, &exits, &jobserver);
    });
    must_end("those of the only worker", || {
        let jobserver = Jobserver::new(3);
        let (pool, exits) = adopt(1, &jobserver);
        assert_eq!(pool.install(|| pool.stats().admitted), 1);
        drop(pool);
        has_ended(1, &exits, &jobserver);
    });
}

#[test]
fn a_call_of_the_thread_that_built_the_global_pool_is_announced() {
    let test = "adopted::a_call_of_the_thread_that_built_the_global_pool_is_announced";
    in_own_process(test, &[], || {
        must_end("its calls", || {
            let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(Jobserver::new(3));
            let builder = builder.use_current_thread().detect_blocking(None);
            builder.build_global().expect("nobody has used rayon here");
            let all = Barrier::new(4);
            let admitted = || global::stats().expect("it was built").admitted;
            let wide =
                || rayon::scope(|scope| (0..4).for_each(|_| scope.spawn(|_| _ = all.wait())));
            assert!(is_announced(admitted, wide, || rayon_jobserver::install(admitted)));
        });
    });
}

/// Once each left the timer of its governor behind, in a handler that rayon never frees.
#[cfg(target_os = "linux")]
#[test]
fn pools_leave_no_descriptor_behind() {
    in_own_process("adopted::pools_leave_no_descriptor_behind", &[], || {
        let jobserver = Jobserver::new(1);
        let cycle = || {
            let on = jobserver.clone();
            let built = thread::spawn(move || {
                let (pool, exits) = adopt(2, &on);
                pool.install(|| ());
                drop(pool);
                has_ended(2, &exits, &on);
            });
            built.join().expect("it does not panic");
        };
        let open = || std::fs::read_dir("/proc/self/fd").expect("proc is mounted").count();
        let before = open();
        (0..20).for_each(|_| cycle());
        eventually("all of them are closed", || open() <= before);
    });
}
