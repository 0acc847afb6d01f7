//! A session is one a process, so each of these tests has a process of its own.

use std::hint;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder, session};

use crate::process::in_own_process;
use crate::support::{Gauge, eventually, must_end, panic_of};

fn silently(warning: &str) {
    panic!("unexpected warning: {warning}");
}

/// Runs `body` in a process of its own, on a thread that has begun a session.
fn in_session(test: &str, variables: &[(&str, &str)], body: impl FnOnce() + Send + 'static) {
    in_own_process(test, variables, || {
        must_end("a session", || {
            session::initialize_checked(silently);
            body();
        });
    });
}

fn pool() -> ThreadPool {
    let builder = ThreadPoolBuilder::new().num_threads(8).jobserver(session::client());
    builder.build().expect("eight workers")
}

#[test]
fn before_initialisation_calls_say_what_is_missing() {
    in_own_process("session::before_initialisation_calls_say_what_is_missing", &[], || {
        let calls: [fn(); 3] =
            [|| drop(session::client()), session::acquire_thread, session::release_thread];
        for call in calls {
            let message = panic_of(call);
            assert!(message.contains("`session::initialize_checked` must be called"), "{message}");
        }
    });
}

#[test]
fn without_a_jobserver_there_are_32_jobs_and_no_word() {
    in_session("session::without_a_jobserver_there_are_32_jobs_and_no_word", &[], || {
        assert_eq!(session::client().available().expect("in this process"), 31);
        (0..31).for_each(|_| session::acquire_thread());
        assert_eq!(session::client().held(), 31);
        assert!(session::client().try_acquire().is_none());
        (0..31).for_each(|_| session::release_thread());
        assert_eq!(session::client().held(), 0);
        // A second call changes nothing, and neither does the pools' own default.
        session::initialize_checked(silently);
        assert_eq!(Jobserver::inherited().available().expect("in this process"), 31);
    });
}

#[test]
fn a_broken_jobserver_is_told_of_once_by_name_and_value() {
    let variables = [("MAKEFLAGS", "-j --jobserver-auth=fifo:/nowhere/at/all")];
    let test = "session::a_broken_jobserver_is_told_of_once_by_name_and_value";
    in_own_process(test, &variables, || {
        let warnings = Mutex::new(Vec::new());
        let note = |warning: &str| {
            // Whoever tells of it may use the session.
            session::initialize_checked(|_| panic!("the second call"));
            assert_eq!(session::client().held(), 0);
            warnings.lock().expect("no panic").push(warning.to_owned());
        };
        session::initialize_checked(note);
        session::initialize_checked(note);
        let warnings = warnings.into_inner().expect("no panic");
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        for part in ["MAKEFLAGS", "fifo:/nowhere/at/all"] {
            assert!(warning.contains(part), "{warning}");
        }
        assert_eq!(session::client().available().expect("in this process"), 31);
    });
}

#[test]
fn one_release_too_many_panics() {
    in_session("session::one_release_too_many_panics", &[], || {
        session::acquire_thread();
        session::release_thread();
        session::release_thread();
        let message = panic_of(session::release_thread);
        assert!(message.contains("`session::release_thread` without"), "{message}");
        assert_eq!(session::client().available().expect("in this process"), 31, "nothing is added");
        session::acquire_thread();
        assert_eq!(session::client().held(), 0, "on the own slot");
    });
}

/// `-j1`: no token at all.
const ALONE: [(&str, &str); 1] = [("MAKEFLAGS", "-j1")];

#[test]
fn the_own_slot_goes_from_thread_to_thread() {
    in_session("session::the_own_slot_goes_from_thread_to_thread", &ALONE, || {
        let gauge = Gauge::default();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        session::acquire_thread();
                        gauge.leaf(thread::yield_now);
                        session::release_thread();
                    }
                });
            }
            session::release_thread();
        });
        session::acquire_thread();
        assert_eq!((gauge.most(), gauge.total()), (1, 800));
    });
}

#[test]
fn the_thread_that_waits_for_a_pool_lends_it_its_slot() {
    in_session("session::the_thread_that_waits_for_a_pool_lends_it_its_slot", &ALONE, || {
        let pool = pool();
        for _ in 0..50 {
            assert_eq!(pool.install(|| 1), 1);
            assert_eq!(pool.join(|| 1, || 2), (1, 2));
            assert_eq!(pool.scope(|_| 3), 3);
            assert_eq!(pool.broadcast(|context| context.index()).len(), 8);
            let (send, receive) = std::sync::mpsc::channel();
            pool.in_place_scope(|scope| {
                scope.spawn(move |_| send.send(4).expect("somebody waits"));
                assert!(receive.try_recv().is_err(), "this thread runs, so no other does");
            });
            assert_eq!(receive.recv(), Ok(4));
        }
        panic::catch_unwind(AssertUnwindSafe(|| pool.install(|| panic!("in the pool"))))
            .expect_err("panics come through");
        session::release_thread();
        assert!(panic_of(session::release_thread).contains("without"), "it had its slot back");
    });
}

#[test]
fn a_thread_whose_slot_another_released_has_nothing_to_lend() {
    let test = "session::a_thread_whose_slot_another_released_has_nothing_to_lend";
    in_session(test, &ALONE, || {
        thread::spawn(session::release_thread).join().expect("one thread counts as running");
        assert_eq!(pool().install(|| 1), 1);
        assert_eq!(rayon_jobserver::blocking(|| 2), 2);
        assert!(panic_of(session::release_thread).contains("without"), "none counts as running");
    });
}

#[test]
fn the_global_pool_has_the_slot_of_the_thread_that_waits_for_it() {
    let test = "session::the_global_pool_has_the_slot_of_the_thread_that_waits_for_it";
    in_session(test, &ALONE, || {
        ThreadPoolBuilder::new().num_threads(4).build_global().expect("there is none yet");
        for _ in 0..20 {
            assert_eq!(rayon_jobserver::join(|| 1, || 2), (1, 2));
            // Bare calls are seen by nobody.
            session::release_thread();
            assert_eq!(rayon::join(|| 1, || 2), (1, 2));
            session::acquire_thread();
        }
    });
}

#[test]
fn a_thread_that_waits_before_the_last_one_releases_has_the_slot_of_an_idle_global_pool() {
    let test = "session::a_thread_that_waits_before_the_last_one_releases_has_the_slot_of_an_idle_global_pool";
    in_session(test, &ALONE, || {
        // It wants the slot for as long as it is there, and keeps it when it has nothing to do.
        ThreadPoolBuilder::new().num_threads(4).build_global().expect("there is none yet");
        for pause in 0..200 {
            let (send, receive) = std::sync::mpsc::channel();
            let helper = thread::spawn(move || {
                send.send(()).expect("the test waits");
                session::acquire_thread();
                session::release_thread();
            });
            receive.recv().expect("the helper has begun");
            // Sometimes the helper waits by then, and sometimes it does not.
            (0..pause * 100).for_each(|_| hint::spin_loop());
            session::release_thread();
            helper.join().expect("it runs on the slot");
            session::acquire_thread();
        }
    });
}

#[test]
fn the_thread_that_waits_for_the_end_of_a_scoped_pool_lends_it_its_slot() {
    let test = "session::the_thread_that_waits_for_the_end_of_a_scoped_pool_lends_it_its_slot";
    in_session(test, &ALONE, || {
        for round in 0..20 {
            let (send, started) = std::sync::mpsc::channel();
            let builder = ThreadPoolBuilder::new().num_threads(4);
            let builder = builder.start_handler(move |_| send.send(()).expect("the test waits"));
            let spawned = AtomicBool::new(false);
            let answer = builder.build_scoped(
                |thread| thread.run(),
                |pool| {
                    assert_eq!(started.iter().take(4).count(), 4);
                    match round % 3 {
                        0 => pool.install(|| 42),
                        1 => pool.join(|| 40, || 2).0 + 2,
                        _ => {
                            pool.scope(|scope| {
                                scope.spawn(|_| spawned.store(true, Ordering::SeqCst))
                            });
                            42
                        }
                    }
                },
            );
            assert_eq!(answer.expect("four workers"), 42);
            assert_eq!(spawned.into_inner(), round % 3 == 2);
        }
        panic::catch_unwind(|| {
            let builder = ThreadPoolBuilder::new().num_threads(4);
            builder.build_scoped(
                |thread| thread.run(),
                |pool| {
                    pool.spawn(|| ());
                    panic!("beside the pool");
                },
            )
        })
        .expect_err("panics come through");
        session::release_thread();
        assert!(panic_of(session::release_thread).contains("without"), "it had its slot back");
    });
}

/// It counts as running twice, as a thread of the session and as a worker.
#[test]
fn a_thread_of_the_session_may_be_a_worker_of_a_pool_that_it_built() {
    let test = "session::a_thread_of_the_session_may_be_a_worker_of_a_pool_that_it_built";
    in_session(test, &ALONE, || {
        let other = pool();
        let builder = ThreadPoolBuilder::new().num_threads(4).use_current_thread();
        let own = builder.build().expect("four workers");
        for _ in 0..3 {
            assert_eq!(other.install(|| 1), 1);
            assert_eq!(own.broadcast(|context| context.index()), [0, 1, 2, 3]);
            assert_eq!(own.install(|| other.install(|| 2)), 2);
            assert_eq!(own.join(|| 1, || 2), (1, 2));
        }
    });
}

#[test]
fn threads_and_pools_together_never_run_wider_than_the_tokens() {
    let test = "session::threads_and_pools_together_never_run_wider_than_the_tokens";
    // A budget of 31 tokens, all but three of which somebody else holds.
    in_session(test, &[], || {
        let elsewhere: Vec<_> = (0..28).map(|_| session::client().acquire()).collect();
        let gauge = Gauge::default();
        let pools = [pool(), pool()];
        thread::scope(|scope| {
            for pool in &pools {
                scope.spawn(|| {
                    for _ in 0..30 {
                        // Waits for the pool, and has not acquired: runs nothing itself.
                        pool.broadcast(|_| gauge.leaf(thread::yield_now));
                        pool.scope(|scope| {
                            (0..20).for_each(|_| scope.spawn(|_| gauge.leaf(thread::yield_now)));
                        });
                    }
                });
            }
            for pool in &pools {
                scope.spawn(|| {
                    for _ in 0..100 {
                        session::acquire_thread();
                        gauge.leaf(thread::yield_now);
                        // Lends the pool what it runs on.
                        pool.install(|| gauge.leaf(thread::yield_now));
                        gauge.leaf(thread::yield_now);
                        session::release_thread();
                    }
                });
            }
            gauge.leaf(thread::yield_now);
            session::release_thread();
        });
        assert!(gauge.most() <= 4, "{} at once on three tokens", gauge.most());
        session::acquire_thread();
        eventually("the pools give everything back", || session::client().held() == 28);
        drop(elsewhere);
        assert_eq!(session::client().held(), 0);
    });
}
