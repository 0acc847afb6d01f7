//! Where panics go.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use rayon::prelude::*;
use rayon_jobserver::Jobserver;

use super::both;
use crate::process::{alone, is_alone};
use crate::support::{message, must_end};

/// A payload that is no string, to be passed on as it is.
#[derive(Debug, PartialEq)]
struct Payload(u32);

fn payload<R>(call: impl FnOnce() -> R) -> Option<u32> {
    let panic: Box<dyn Any + Send> = catch_unwind(AssertUnwindSafe(call)).err()?;
    panic.downcast::<Payload>().ok().map(|payload| payload.0)
}

fn fail(number: u32) {
    panic_any(Payload(number));
}

#[test]
fn panics_come_out_where_the_call_was_made() {
    let payloads = both!("panics", |builder| {
        let pool = builder().num_threads(3).build().unwrap();
        let payloads = [
            payload(|| pool.install(|| fail(1))),
            payload(|| pool.join(|| fail(2), || ())),
            payload(|| pool.join(|| (), || fail(3))),
            payload(|| pool.scope(|_| fail(4))),
            payload(|| pool.scope(|scope| scope.spawn(|_| fail(5)))),
            payload(|| pool.scope_fifo(|scope| scope.spawn_fifo(|_| fail(6)))),
            payload(|| pool.in_place_scope(|_| fail(7))),
            payload(|| pool.in_place_scope(|scope| scope.spawn(|_| fail(8)))),
            payload(|| pool.in_place_scope_fifo(|scope| scope.spawn_fifo(|_| fail(9)))),
            payload(|| pool.broadcast(|context| fail(10 + u32::from(context.index() == 9)))),
            payload(|| {
                pool.install(|| {
                    (0..100).into_par_iter().for_each(|n| {
                        if n == 37 {
                            fail(11)
                        }
                    })
                })
            }),
            payload(|| pool.install(|| pool.join(|| (), || pool.scope(|_| fail(12))))),
        ];
        assert_eq!(pool.install(|| 1), 1, "the pool lives on");
        payloads
    });
    assert_eq!(payloads, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].map(Some));
}

#[test]
fn panics_of_jobs_and_handlers_go_to_the_panic_handler() {
    let panics = both!("panic_handler", |builder| {
        let (send, receive) = channel();
        let built = builder()
            .num_threads(3)
            .panic_handler(move |panic| send.send(message(&*panic)).unwrap())
            .start_handler(|index| panic!("start {index}"))
            .exit_handler(|index| panic!("exit {index}"))
            .build();
        let pool = built.unwrap();
        pool.spawn(|| panic!("spawn"));
        pool.spawn_fifo(|| panic!("spawn_fifo"));
        pool.spawn_broadcast(|context| panic!("broadcast {}", context.index()));
        pool.install(|| rayon::spawn(|| panic!("spawn inside")));
        assert_eq!(pool.install(|| 1), 1, "the pool lives on");
        drop(pool);
        let mut panics: Vec<_> = receive.into_iter().collect();
        panics.sort();
        panics
    });
    assert_eq!(panics.len(), 12);
}

/// What ends the process, as text for the environment.
const ENDS: [&str; 4] = ["job", "start handler", "exit handler", "panic handler"];

#[test]
#[cfg(unix)]
fn panics_nobody_handles_end_the_process() {
    use std::os::unix::process::ExitStatusExt;
    let test = "mirror::panicking::panics_nobody_handles_end_the_process";
    /// Does it with this kind of pool, and waits for the end.
    macro_rules! provoke {
        ($builder:expr) => {{
            let builder = $builder.num_threads(2);
            let first = AtomicBool::new(true);
            let end = std::env::var("END").unwrap();
            let pool = match end.as_str() {
                "job" => builder.build(),
                "start handler" => builder.start_handler(|_| panic!("start")).build(),
                "exit handler" => builder.exit_handler(|_| panic!("exit")).build(),
                // Later panics it would handle.
                _ => builder
                    .start_handler(|_| panic!("start"))
                    .panic_handler(move |_| assert!(!first.swap(false, Ordering::SeqCst)))
                    .build(),
            };
            let pool = pool.unwrap();
            if end == "job" {
                pool.spawn(|| panic!("job"));
            }
            drop(pool);
            must_end("the process", || {
                loop {
                    thread::park();
                }
            })
        }};
    }
    if is_alone() {
        match std::env::var("WHOSE").unwrap().as_str() {
            "stock" => provoke!(rayon::ThreadPoolBuilder::new()),
            _ => provoke!(rayon_jobserver::ThreadPoolBuilder::new().jobserver(Jobserver::new(1))),
        }
    }
    for end in ENDS {
        for whose in ["stock", "ours"] {
            let status = alone(test, &[("END", end), ("WHOSE", whose)]).status;
            assert_eq!(status.signal(), Some(6), "{end} of {whose}: {status}");
        }
    }
}
