//! A child made by `fork` and not followed by `exec`: it owns nothing, and is told so.

use std::io::{Read, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder, session};

use crate::process::{in_own_process, is_alone};
use crate::support::{must_end, panic_of};

/// How many children one process makes, and how many processes do where one child in a hundred hung.
const FORKS: usize = 100;
const PARENTS: usize = 5;

/// Runs `body` in a forked child, and tells whether it ended well. The child ends as a whole
/// program does, exit handlers included.
fn in_child(body: impl FnOnce()) -> bool {
    // SAFETY: the child runs what needs none of the threads that it lacks: that this is so is what
    // is tested. It has an allocator and a standard output that no other thread was using: each of
    // these tests is alone in its process, and its other threads sleep.
    match unsafe { libc::fork() } {
        -1 => panic!("no child to be had"),
        0 => {
            // SAFETY: it sets a timer and nothing else. A child that hangs dies of it.
            unsafe { libc::alarm(60) };
            let well = panic::catch_unwind(AssertUnwindSafe(body)).is_ok();
            std::process::exit(i32::from(!well))
        }
        child => {
            let mut status = 0;
            // SAFETY: the child is ours, and `status` is there to be written.
            let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(waited, child);
            status == 0
        }
    }
}

/// Fails unless `call` panics as it should.
fn is_refused(call: impl FnOnce()) {
    let message = panic_of(call);
    assert!(message.contains("after `fork` without `exec`"), "{message}");
}

/// A pipe that has been made a jobserver with these bytes, and the connection to it.
fn connect(tokens: &[u8]) -> (std::io::PipeReader, Jobserver) {
    use std::os::fd::AsRawFd;
    let (read, mut write) = std::io::pipe().expect("a pipe");
    write.write_all(tokens).expect("there is room");
    let auth = format!("-j --jobserver-auth={},{}", read.as_raw_fd(), write.as_raw_fd());
    // SAFETY: the process of this test has one thread that looks at the environment, this one.
    unsafe { std::env::set_var("MAKEFLAGS", auth) };
    let jobserver = Jobserver::inherited();
    assert!(jobserver.warning().is_none(), "{:?}", jobserver.warning());
    std::mem::forget(write);
    (read, jobserver)
}

fn calls_of_a_pool(pool: &ThreadPool) {
    is_refused(|| pool.install(|| ()));
    is_refused(|| _ = pool.join(|| (), || ()));
    is_refused(|| pool.scope(|_| ()));
    is_refused(|| pool.scope_fifo(|_| ()));
    is_refused(|| pool.in_place_scope(|_| ()));
    is_refused(|| pool.in_place_scope_fifo(|_| ()));
    is_refused(|| pool.spawn(|| ()));
    is_refused(|| pool.spawn_fifo(|| ()));
    is_refused(|| drop(pool.broadcast(|_| ())));
    is_refused(|| pool.spawn_broadcast(|_| ()));
    is_refused(|| _ = pool.stats());
    assert!(format!("{pool:?}").contains("stats: None"));
}

fn calls_of_the_global_pool() {
    is_refused(|| rayon_jobserver::install(|| ()));
    is_refused(|| _ = rayon_jobserver::join(|| (), || ()));
    is_refused(|| rayon_jobserver::scope(|_| ()));
    is_refused(|| rayon_jobserver::spawn(|| ()));
    is_refused(|| drop(rayon_jobserver::broadcast(|_| ())));
    is_refused(|| _ = rayon_jobserver::global::stats());
}

fn calls_of_a_jobserver(jobserver: &Jobserver) {
    is_refused(|| drop(jobserver.acquire()));
    is_refused(|| drop(jobserver.try_acquire()));
    is_refused(|| session::initialize_checked(|warning| panic!("{warning}")));
    is_refused(session::acquire_thread);
    is_refused(session::release_thread);
    jobserver.available().expect_err("it is the parent's");
    jobserver.configure(&mut Command::new("true")).expect_err("it is the parent's");
    assert_eq!((jobserver.held(), jobserver.losses()), (0, 0));
    let error = ThreadPoolBuilder::new().jobserver(jobserver.clone()).build();
    let error = error.expect_err("it is the parent's").to_string();
    assert!(error.contains("after `fork` without `exec`"), "{error}");
}

#[test]
fn a_forked_child_is_refused_and_gives_nothing_back() {
    in_own_process("fork::a_forked_child_is_refused_and_gives_nothing_back", &[], || {
        let (mut read, jobserver) = connect(b"abcdef");
        session::initialize_checked(|warning| panic!("{warning}"));
        ThreadPoolBuilder::new().num_threads(2).build_global().expect("there is none yet");
        let pool = ThreadPoolBuilder::new().num_threads(4).build().expect("four workers");
        assert_eq!(pool.join(|| 1, || 2), (1, 2));
        let tokens = [(); 3].map(|()| jobserver.acquire());

        let mut tokens = Some(tokens);
        let mut pool = Some(pool);
        let well = in_child(|| {
            let pool = pool.take().expect("the child has a copy");
            calls_of_a_pool(&pool);
            calls_of_the_global_pool();
            calls_of_a_jobserver(&jobserver);
            drop(pool);
            drop(tokens.take());
            rayon_jobserver::give_back();
        });
        assert!(well, "see above");

        // The parent goes on as if nothing had been.
        let pool = pool.expect("taken in the child alone");
        assert_eq!(pool.join(|| 1, || 2), (1, 2));
        drop(tokens);
        rayon_jobserver::give_back();
        let mut bytes = [0; 6];
        read.read_exact(&mut bytes).expect("they lie there");
        bytes.sort_unstable();
        assert_eq!(&bytes, b"abcdef");
        assert_eq!(rustix::io::ioctl_fionread(&read).expect("a pipe"), 0, "and no more");
    });
}

#[test]
fn a_child_forked_on_a_worker_is_refused_too() {
    in_own_process("fork::a_child_forked_on_a_worker_is_refused_too", &[], || {
        let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(Jobserver::new(2));
        let pool = pool.build().expect("four workers");
        must_end("a job that forks", move || {
            assert!(pool.install(|| in_child(|| calls_of_a_pool(&pool))), "see above");
            let visit = pool.in_place_scope(|_| in_child(|| calls_of_a_pool(&pool)));
            assert!(visit, "see above");
        });
    });
}

/// Once the locks queued their threads in one table of the process, of which the child has a copy: one in a hundred
/// hung.
#[test]
fn children_of_a_process_with_many_workers_may_have_pools_of_their_own() {
    let test = "fork::children_of_a_process_with_many_workers_may_have_pools_of_their_own";
    let forks = || {
        let build = || {
            let builder = ThreadPoolBuilder::new().num_threads(16).jobserver(Jobserver::new(1));
            builder.build().expect("16 workers")
        };
        let pool = build();
        assert_eq!(pool.join(|| 1, || 2), (1, 2));
        must_end("a process that forks", move || {
            for _ in 0..FORKS {
                let well = in_child(|| {
                    let own = build();
                    (0..20).for_each(|round| assert_eq!(own.install(|| round), round));
                });
                assert!(well, "see above");
            }
        });
    };
    // One after another, since all children of one take too long where many others want the cores.
    let parents = if is_alone() { 1 } else { PARENTS };
    (0..parents).for_each(|_| in_own_process(test, &[], forks));
}

/// Once a child that came to the copy of a broadcast told its parent's governor of that.
#[test]
fn a_child_forked_on_a_worker_comes_to_copies_of_a_broadcast() {
    let test = "fork::a_child_forked_on_a_worker_comes_to_copies_of_a_broadcast";
    in_own_process(test, &[], || {
        let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(Jobserver::new(3)).build();
        let pool = pool.expect("four workers");
        must_end("jobs that fork", move || {
            let over = AtomicBool::new(false);
            thread::scope(|scope| {
                // Whoever looks at the counters holds the governor's lock: now and then at a fork.
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !over.load(Ordering::Relaxed) {
                            pool.stats();
                        }
                    });
                }
                let forks_well = |_| {
                    pool.install(|| {
                        pool.spawn_broadcast(|_| ());
                        in_child(|| {
                            // Not by a wait, which looks into rayon's queue of injected jobs, too: a thread that was
                            // writing to it at the fork is waited for, and the child does not have it.
                            while rayon::yield_local() == Some(rayon::Yield::Executed) {}
                            let builder = ThreadPoolBuilder::new().num_threads(4);
                            let own = builder.jobserver(Jobserver::new(1)).build();
                            let own = own.expect("four workers");
                            let calls = move || {
                                (0..20).for_each(|round| assert_eq!(own.install(|| round), round));
                            };
                            thread::spawn(calls).join().expect("it does not panic");
                        })
                    })
                };
                let well = (0..FORKS).all(forks_well);
                over.store(true, Ordering::Relaxed);
                assert!(well, "see above");
            });
        });
    });
}

#[test]
fn a_forked_child_may_have_a_jobserver_of_its_own() {
    in_own_process("fork::a_forked_child_may_have_a_jobserver_of_its_own", &[], || {
        let pool = ThreadPoolBuilder::new().num_threads(2).jobserver(Jobserver::new(1));
        let pool = pool.build().expect("two workers");
        assert_eq!(pool.join(|| 1, || 2), (1, 2));
        let well = in_child(|| {
            let pool = ThreadPoolBuilder::new().num_threads(2).jobserver(Jobserver::new(1));
            let pool = pool.build().expect("two workers");
            assert_eq!(pool.join(|| 1, || 2), (1, 2));
        });
        assert!(well, "see above");
    });
}

/// It is not counted as a fork, but its process number gives it away when it exits.
#[cfg(target_os = "linux")]
#[test]
fn a_child_made_by_the_bare_system_call_gives_nothing_back_either() {
    let test = "fork::a_child_made_by_the_bare_system_call_gives_nothing_back_either";
    in_own_process(test, &[], || {
        let (read, jobserver) = connect(b"abc");
        let tokens = [(); 3].map(|()| jobserver.acquire());
        // SAFETY: the child, a copy as after `fork`, does no more than to exit.
        let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        if child == 0 {
            // SAFETY: it sets a timer and nothing else. A child that hangs dies of it.
            unsafe { libc::alarm(60) };
            // SAFETY: exit handlers are what is tested.
            unsafe { libc::exit(0) };
        }
        let mut status = 0;
        // SAFETY: the child is ours, and `status` is there to be written.
        let waited = unsafe { libc::waitpid(child as i32, &raw mut status, 0) };
        assert_eq!((i64::from(waited), status), (child, 0));
        assert_eq!(rustix::io::ioctl_fionread(&read).expect("a pipe"), 0, "they are the parent's");
        drop(tokens);
    });
}

/// Once such children waited for a lock that another thread of the parent had held.
#[test]
fn a_child_forked_while_another_thread_connects_may_have_a_jobserver_of_its_own() {
    let test = "fork::a_child_forked_while_another_thread_connects_may_have_a_jobserver_of_its_own";
    in_own_process(test, &[], || {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let connects = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drop(Jobserver::new(1));
                }
            });
            let all_well = (0..FORKS).all(|_| {
                in_child(|| {
                    let jobserver = Jobserver::new(1);
                    assert!(jobserver.try_acquire().is_some());
                })
            });
            over.store(true, Ordering::Relaxed);
            connects.join().expect("it only connects");
            assert!(all_well, "see above");
        });
    });
}

/// Once they waited for what that thread had begun to find out, once for all pools.
#[test]
fn a_child_forked_while_another_thread_builds_the_first_pool_may_have_one_of_its_own() {
    let test =
        "fork::a_child_forked_while_another_thread_builds_the_first_pool_may_have_one_of_its_own";
    let forks = || {
        // What the queues of rayon itself need once, and would wait for as well.
        let stock = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one worker");
        stock.install(|| ());
        let build = || {
            let builder = ThreadPoolBuilder::new().num_threads(2).jobserver(Jobserver::new(1));
            builder.build().expect("two workers")
        };
        let built = AtomicBool::new(false);
        let all_well = thread::scope(|scope| {
            scope.spawn(|| {
                drop(build());
                built.store(true, Ordering::Release);
            });
            std::iter::repeat_with(|| in_child(|| assert_eq!(build().join(|| 1, || 2), (1, 2))))
                .take_while(|_| !built.load(Ordering::Acquire))
                .all(|well| well)
        });
        assert!(all_well, "see above");
    };
    // Each of them has one first pool, and hung in one of three cases.
    let processes = if is_alone() { 1 } else { 20 };
    (0..processes).for_each(|_| in_own_process(test, &[], forks));
}
