//! A system that has nothing left to give, or keeps something to itself.

use std::error::Error;
use std::fs;
use std::hint::spin_loop;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rayon_jobserver::{BuildError, Jobserver, ThreadPoolBuilder, global};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::process::{in_own_process, threads};
use crate::support::{Gauge, must_end};

/// The stack of each thread, in bytes: so large that threads can be refused and all else be had.
const STACK: u64 = 1 << 30;

/// Lets this process have no more threads than it has.
fn refuse_threads() {
    let statm = fs::read_to_string("/proc/self/statm").expect("proc is mounted");
    let pages = statm.split(' ').next().expect("the size comes first");
    let size = pages.parse::<u64>().expect("a number of pages") * rustix::param::page_size() as u64;
    let limit = Rlimit { current: Some(size + STACK / 4), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit).expect("one may always have less");
    // Should there be room for one all the same, since another has ended meanwhile.
    while thread::Builder::new().spawn(thread::park).is_ok() {}
}

/// What the system said when it refused a thread.
fn refusal(error: &dyn Error) -> io::ErrorKind {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.expect("the system's error").kind()
}

fn is_refusal(error: &dyn Error) -> bool {
    matches!(refusal(error), io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory)
}

/// Starts a thread that becomes the worker which it is sent.
fn thread_in_waiting() -> mpsc::Sender<rayon::ThreadBuilder> {
    let (sender, worker) = mpsc::channel::<rayon::ThreadBuilder>();
    let (ready, wait) = mpsc::channel();
    thread::spawn(move || {
        // The message is the first memory that the allocator gives this thread.
        ready.send(()).expect("the test waits");
        worker.iter().for_each(rayon::ThreadBuilder::run);
    });
    wait.recv().expect("it has started");
    sender
}

#[test]
fn where_no_thread_can_wait_for_tokens_work_goes_on_upon_the_own_slot() {
    let test = "scarce::where_no_thread_can_wait_for_tokens_work_goes_on_upon_the_own_slot";
    in_own_process(test, &[("RUST_MIN_STACK", &STACK.to_string())], || {
        must_end("what needs a token", || {
            let client = jobserver::Client::new(0).expect("a pipe");
            let jobserver = Jobserver::from_client(client);
            let before = threads().len();
            // The first pool of a process tries rayon out on a thread, whose stack would be another's once it ends.
            drop(
                ThreadPoolBuilder::new()
                    .jobserver(Jobserver::new(0))
                    .build()
                    .expect("all is there"),
            );
            while threads().len() > before {
                thread::yield_now();
            }
            let waiting = [(); 4].map(|()| thread_in_waiting());
            let mut workers = Vec::new();
            let keep = |worker| {
                workers.push(worker);
                Ok(())
            };
            let (sender, started) = mpsc::channel();
            let start = move |worker| sender.send(worker).expect("the test waits");
            let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone());
            let builder = builder.start_handler(start).spawn_handler(keep);
            let pool = builder.build().expect("four workers");
            refuse_threads();
            // Nobody can be told of the token that never comes.
            drop(jobserver.acquire());
            let failure = jobserver.failure().expect("it has been noticed");
            assert!(is_refusal(&failure), "{failure}");
            // Only now, since one that must wait has the thread started that tells of tokens.
            waiting.into_iter().zip(workers).for_each(|(thread, worker)| {
                thread.send(worker).expect("it waits for its worker");
            });
            assert_eq!(started.iter().take(4).count(), 4);
            assert_eq!(pool.install(|| rayon::join(|| 6, || 7)), (6, 7));
        });
    });
}

#[test]
fn where_there_is_no_thread_for_the_governor_no_pool_is_built() {
    let test = "scarce::where_there_is_no_thread_for_the_governor_no_pool_is_built";
    in_own_process(test, &[("RUST_MIN_STACK", &STACK.to_string())], || {
        must_end("to be refused", || {
            refuse_threads();
            let jobserver = Jobserver::new(1);
            // For a worker there would be room.
            let workers = Arc::new(AtomicUsize::new(0));
            let builder = || {
                let workers = Arc::clone(&workers);
                let builder = ThreadPoolBuilder::new().num_threads(2).stack_size(1 << 18);
                builder.jobserver(jobserver.clone()).start_handler(move |_| {
                    workers.fetch_add(1, Ordering::SeqCst);
                })
            };
            let refused: [BuildError; 3] = [
                builder().build().expect_err("a thread too many"),
                builder().use_current_thread().build().expect_err("a thread too many"),
                builder().build_global().expect_err("a thread too many"),
            ];
            refused.iter().for_each(|error| assert!(is_refusal(error), "{error}"));
            assert_eq!(
                (jobserver.held(), jobserver.available().expect("it counts its own")),
                (0, 1)
            );
            assert!(global::stats().is_none());
            assert_eq!(rayon::current_thread_index(), None);

            // rayon's global pool is still to be had.
            let stock = rayon::ThreadPoolBuilder::new().num_threads(2).stack_size(1 << 18);
            stock.build_global().expect("nobody has built it");
            assert_eq!(rayon::broadcast(|context| context.index()), [0, 1]);
            assert_eq!(workers.load(Ordering::SeqCst), 0);
        });
    });
}

/// Has the system refuse to tell what other threads have run, to the threads that this one starts.
fn refuse_clocks() {
    /// Where the kernel has put the number of the call, and the lower half of its first argument.
    const CALL: u32 = 0;
    const CLOCK: u32 = if cfg!(target_endian = "little") { 16 } else { 20 };
    /// Those of threads and processes have negative numbers.
    const FIRST_DYNAMIC: u32 = 1 << 31;
    let step =
        |code: u32, k: u32, (jt, jf): (u8, u8)| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |from| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, from, (0, 0));
    let jump = |how, k, to| step(libc::BPF_JMP | how | libc::BPF_K, k, to);
    let end = |how| step(libc::BPF_RET | libc::BPF_K, how, (0, 0));
    let mut filter = [
        load(CALL),
        jump(libc::BPF_JEQ, libc::SYS_clock_gettime as u32, (0, 3)),
        load(CLOCK),
        jump(libc::BPF_JGE, FIRST_DYNAMIC, (0, 1)),
        end(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        end(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: it takes numbers alone.
    let kept = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(kept, 0);
    // SAFETY: the pointer is to a program that lives until the call has ended.
    let sealed =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(sealed, 0, "{}", io::Error::last_os_error());
}

/// Once all of them counted as threads that have ended, and others ran for them.
#[test]
fn busy_workers_keep_to_the_budget_where_their_clocks_cannot_be_read() {
    let test = "scarce::busy_workers_keep_to_the_budget_where_their_clocks_cannot_be_read";
    in_own_process(test, &[], || {
        refuse_clocks();
        let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(Jobserver::new(0));
        let pool = pool.build().expect("threads can be had");
        let gauge = Gauge::default();
        let compute = || {
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_millis(100) {
                spin_loop();
            }
        };
        pool.scope(|scope| (0..4).for_each(|_| scope.spawn(|_| gauge.leaf(compute))));
        assert_eq!((gauge.most(), gauge.total()), (1, 4), "{:?}", pool.stats());
    });
}
