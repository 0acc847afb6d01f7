//! The options of the builder.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

use super::both;
use crate::process::{in_own_process, parallelism};
use crate::support::{message, must_end};

#[test]
fn num_threads_is_what_was_asked_for() {
    for threads in [1, 2, 7] {
        let built = both!("num_threads", |builder| {
            builder().num_threads(threads).build().unwrap().current_num_threads()
        });
        assert_eq!(built, threads);
    }
}

#[test]
fn more_threads_than_rayon_can_do_are_cut_down_to_that() {
    let threads = both!("max_num_threads", |builder| {
        // None is started: so many are more than most machines can do.
        let start_none = |thread: rayon::ThreadBuilder| {
            drop(thread);
            Ok(())
        };
        let pool = builder().num_threads(usize::MAX).spawn_handler(start_none).build().unwrap();
        pool.current_num_threads()
    });
    assert_eq!(threads, rayon::max_num_threads());
}

#[test]
fn no_number_means_the_environments_or_the_machines() {
    let test = "mirror::building::no_number_means_the_environments_or_the_machines";
    let body = || {
        let threads = both!("num_threads(0)", |builder| {
            let unset = builder().build().unwrap().current_num_threads();
            (unset, builder().num_threads(0).build().unwrap().current_num_threads())
        });
        let expected = std::env::var("EXPECTED").map_or(parallelism(), |n| n.parse().unwrap());
        assert_eq!(threads, (expected, expected));
    };
    let current = ("RAYON_NUM_THREADS", "5");
    let older = ("RAYON_RS_NUM_CPUS", "6");
    in_own_process(test, &[], body);
    in_own_process(test, &[current, ("EXPECTED", "5")], body);
    in_own_process(test, &[older, ("EXPECTED", "6")], body);
    in_own_process(test, &[current, older, ("EXPECTED", "5")], body);
    in_own_process(test, &[("RAYON_NUM_THREADS", "0"), older], body);
    in_own_process(test, &[("RAYON_NUM_THREADS", "many"), older, ("EXPECTED", "6")], body);
    in_own_process(test, &[("RAYON_NUM_THREADS", ""), ("RAYON_RS_NUM_CPUS", "-1")], body);
}

#[test]
fn threads_bear_their_names() {
    let names = both!("thread_name", |builder| {
        let mut built = 0;
        let name = move |index| {
            built += 1;
            format!("worker {index}, {built} built")
        };
        let pool = builder().num_threads(3).thread_name(name).build().unwrap();
        pool.broadcast(|_| thread::current().name().map(str::to_owned))
    });
    assert_eq!(names[2].as_deref(), Some("worker 2, 3 built"));
}

#[test]
fn threads_without_a_name_have_none() {
    let names = both!("no thread_name", |builder| {
        let pool = builder().num_threads(2).build().unwrap();
        pool.broadcast(|_| thread::current().name().map(str::to_owned))
    });
    assert_eq!(names, [None, None]);
}

/// Needs at least a kilobyte of stack for each level.
#[inline(never)]
fn descend(levels: usize) -> usize {
    let frame = std::hint::black_box([levels; 128]);
    if levels == 0 { 0 } else { 1 + descend(std::hint::black_box(frame[levels % 128] - 1)) }
}

#[test]
fn stacks_are_as_large_as_asked_for() {
    let levels = 16 << 10;
    let reached = both!("stack_size", |builder| {
        // Ten times what the levels need at least; the default, 2 MB, is far too little.
        let pool = builder().num_threads(2).stack_size(160 << 20).build().unwrap();
        pool.join(|| descend(levels), || descend(levels))
    });
    assert_eq!(reached, (levels, levels));
}

#[test]
fn handlers_run_once_for_each_worker_on_its_thread() {
    let calls = both!("start and exit handlers", |builder| {
        let (send, receive) = channel();
        let note = |what: &'static str| {
            let send = send.clone();
            move |index: usize| {
                let here = (rayon::current_thread_index(), thread::current().id());
                send.send((what, index, here)).unwrap();
            }
        };
        let started = builder().num_threads(4).start_handler(note("start"));
        let pool = started.exit_handler(note("exit")).build().unwrap();
        drop(send);
        let threads = pool.broadcast(|_| thread::current().id());
        drop(pool);
        // The channel ends once the handlers are gone, with the last of the pool.
        let mut calls: Vec<_> = receive
            .into_iter()
            .map(|(what, index, (worker, thread))| (what, index, worker, thread == threads[index]))
            .collect();
        calls.sort();
        calls
    });
    assert_eq!(calls.len(), 8);
    assert!(calls.iter().all(|&(_, index, worker, there)| worker == Some(index) && there));
}

#[test]
fn start_handlers_come_before_jobs_whoever_is_first() {
    both!("start handlers before jobs", |builder| {
        let started = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&started);
        let handler = move |index| log.lock().unwrap().push(index);
        let pool = builder().num_threads(3).start_handler(handler).build().unwrap();
        pool.broadcast(|context| started.lock().unwrap().contains(&context.index()))
    });
}

#[test]
fn threads_are_started_by_the_spawn_handler() {
    let threads = both!("spawn_handler", |builder| {
        let mut handles = Vec::new();
        let spawn = |worker: rayon::ThreadBuilder| {
            let about = (worker.index(), worker.name().map(str::to_owned), worker.stack_size());
            handles.push(thread::spawn(move || {
                worker.run();
                about
            }));
            Ok(())
        };
        let options = builder().num_threads(3).thread_name(|index| format!("n{index}"));
        let unused = |_| unreachable!("a later handler takes its place");
        let options = options.stack_size(1 << 20).spawn_handler(unused);
        let pool = options.spawn_handler(spawn).build().unwrap();
        assert_eq!(pool.install(|| rayon::join(|| 1, || 2)), (1, 2));
        assert_eq!(pool.broadcast(|context| context.index()), [0, 1, 2]);
        drop(pool);
        handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(threads[1], (1, Some("n1".to_owned()), Some(1 << 20)));
}

/// The error at the bottom.
fn root(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), root)
}

#[test]
fn a_failing_spawn_handler_is_an_error_and_ends_what_was_started() {
    let failure = both!("failing spawn_handler", |builder| {
        let mut handles = Vec::new();
        let spawn = |worker: rayon::ThreadBuilder| {
            if worker.index() == 3 {
                return Err(io::Error::other("no more threads"));
            }
            handles.push(thread::spawn(move || worker.run()));
            Ok(())
        };
        let error = builder().num_threads(5).spawn_handler(spawn).build().unwrap_err();
        let started = handles.len();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        (started, root(&error))
    });
    assert_eq!(failure, (3, "no more threads".to_owned()));
}

#[test]
fn scoped_threads_may_borrow() {
    let sum = both!("build_scoped", |builder| {
        let data: Vec<usize> = (0..100).collect();
        let wrapped = AtomicUsize::new(0);
        let wrapper = |worker: rayon::ThreadBuilder| {
            wrapped.fetch_add(data[1], Ordering::SeqCst);
            worker.run();
            wrapped.fetch_add(10, Ordering::SeqCst);
        };
        let options = builder().num_threads(3).thread_name(|index| format!("scoped {index}"));
        let built = options.build_scoped(wrapper, |pool| {
            let name = pool.install(|| thread::current().name().map(|name| name[..7].to_owned()));
            (pool.install(|| data.iter().sum::<usize>()), name)
        });
        // All threads have ended by now.
        (built.unwrap(), wrapped.into_inner())
    });
    assert_eq!(sum, ((4950, Some("scoped ".to_owned())), 33));
}

#[test]
fn a_panic_within_a_scoped_pool_ends_its_threads() {
    let panic = both!("build_scoped that panics", |builder| {
        let ended = AtomicUsize::new(0);
        let wrapper = |worker: rayon::ThreadBuilder| {
            worker.run();
            ended.fetch_add(1, Ordering::SeqCst);
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            builder().num_threads(3).build_scoped(wrapper, |pool| {
                pool.install(|| panic!("in the scope"));
            })
        }));
        (outcome.map(drop).map_err(|panic| message(&*panic)), ended.load(Ordering::SeqCst))
    });
    assert_eq!(panic, (Err("in the scope".to_owned()), 3));
}

/// Else those that do come up would wait for it, and the scope for them.
#[test]
fn a_scoped_thread_that_never_comes_up_keeps_no_other_from_ending() {
    let outcome = both!("build_scoped with a thread that does not run", |builder| {
        let wrapper = |worker: rayon::ThreadBuilder| {
            assert_ne!(worker.index(), 1, "it does not run");
            worker.run();
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            builder().num_threads(2).build_scoped(wrapper, |pool| pool.install(|| ()))
        }));
        outcome.map(drop).map_err(|panic| message(&*panic))
    });
    assert_eq!(outcome, Err("a scoped thread panicked".to_owned()));
}

#[test]
fn the_current_thread_becomes_worker_0() {
    let seen = both!("use_current_thread", |builder| {
        let here = thread::current().id();
        let pool = builder().num_threads(3).use_current_thread().build().unwrap();
        let index = (pool.current_thread_index(), rayon::current_thread_index());
        let installed = pool.install(|| thread::current().id() == here);
        let sum = pool.install(|| rayon::join(|| 1, || 2));
        let on = pool.broadcast(|_| thread::current().id() == here);
        let second = builder().num_threads(2).use_current_thread().build();
        (index, installed, sum, on, second.err().map(|error| root(&error)))
    });
    let (index, _, _, on, second) = seen;
    assert_eq!((index, on), ((Some(0), Some(0)), vec![true, false, false]));
    assert!(second.unwrap().contains("current thread"));
}

#[test]
#[expect(deprecated, reason = "rayon still has it, and so have we")]
fn breadth_first_runs_a_workers_own_jobs_in_order() {
    let order = both!("breadth_first", |builder| {
        let log = Mutex::new(Vec::new());
        let pool = builder().num_threads(1).breadth_first().build().unwrap();
        pool.scope(|scope| {
            let log = &log;
            (0..20).for_each(|n| scope.spawn(move |_| log.lock().unwrap().push(n)));
        });
        log.into_inner().unwrap()
    });
    assert_eq!(order, (0..20).collect::<Vec<_>>());
}

#[test]
fn a_panic_while_the_threads_are_made_leaves_none_waiting() {
    must_end("a scope whose pool is not built", || {
        let names = |worker: usize| match worker {
            2 => panic!("no name for it"),
            _ => format!("worker {worker}"),
        };
        let build = || {
            let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(Jobserver::new(0));
            // It joins all threads that were made.
            builder.thread_name(names).build_scoped(|thread| thread.run(), |_| ())
        };
        let panic = std::panic::catch_unwind(build).expect_err("it comes through");
        assert_eq!(panic.downcast_ref(), Some(&"no name for it"));
    });
}
