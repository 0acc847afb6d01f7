//! A system that has nothing left to give.

use std::error::Error;
use std::fs;
use std::io;
use std::sync::mpsc;
use std::thread;

use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
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
            let cause = failure.source().and_then(|cause| cause.downcast_ref::<io::Error>());
            let cause = cause.expect("the system's error").kind();
            assert!(
                matches!(cause, io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory),
                "{failure}"
            );
            assert_eq!(pool.install(|| rayon::join(|| 6, || 7)), (6, 7));
        });
    });
}
