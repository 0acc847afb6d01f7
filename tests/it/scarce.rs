//! A system that has nothing left to give.

use std::error::Error;
use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use rayon_jobserver::{BuildError, Jobserver, ThreadPoolBuilder, global};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::process::in_own_process;
use crate::support::must_end;

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

#[test]
fn where_no_thread_can_wait_for_tokens_work_goes_on_upon_the_own_slot() {
    let test = "scarce::where_no_thread_can_wait_for_tokens_work_goes_on_upon_the_own_slot";
    in_own_process(test, &[("RUST_MIN_STACK", &STACK.to_string())], || {
        must_end("what needs a token", || {
            let client = jobserver::Client::new(0).expect("a pipe");
            let jobserver = Jobserver::from_client(client);
            let (sender, started) = mpsc::channel();
            // The message is the first memory that the allocator gives each of them.
            let start = move |worker| sender.send(worker).expect("the test waits");
            let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone());
            let pool = builder.start_handler(start).build().expect("four workers");
            assert_eq!(started.iter().take(4).count(), 4);
            refuse_threads();
            // Nobody can be told of the token that never comes.
            drop(jobserver.acquire());
            let failure = jobserver.failure().expect("it has been noticed");
            assert!(is_refusal(&failure), "{failure}");
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
