//! What pools do at rest, and what they leave behind: nothing at all.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

use crate::pools::{leaves, pool_on, settled};
use crate::process::{in_own_process, switches_of_others, threads};
use crate::support::{Gauge, eventually, must_end, virtual_core};

/// The first call is over before a worker has come up.
#[test]
fn a_call_at_once_that_has_nothing_to_do_leaves_the_pool_as_it_was() {
    must_end("the second call", || {
        for workers in [1, 2, 4] {
            let over = Arc::new(Barrier::new(workers + 1));
            let wait = Arc::clone(&over);
            let builder =
                ThreadPoolBuilder::new().num_threads(workers).jobserver(Jobserver::new(0));
            let not_yet = move |_| {
                wait.wait();
            };
            let pool = builder.start_handler(not_yet).build();
            let pool = pool.expect("so many workers");
            pool.in_place_scope(|_| ());
            over.wait();
            assert_eq!(pool.install(|| 42), 42);
        }
    });
}

#[test]
fn pools_built_and_dropped_leave_nothing_behind() {
    let test = "rest::pools_built_and_dropped_leave_nothing_behind";
    in_own_process(test, &[], || {
        must_end("500 pools", || {
            let jobserver = Jobserver::new(3);
            let before: BTreeSet<_> = threads().into_iter().collect();
            for round in 0..500 {
                let pool = pool_on(&jobserver, 1 + round % 6);
                match round % 5 {
                    0 => {}
                    1 => pool.install(|| ()),
                    2 => pool.spawn(|| rayon::spawn(|| ())),
                    3 => pool.install(|| (0..20).into_par_iter().for_each(|_| ())),
                    _ => pool.spawn_broadcast(|_| ()),
                }
            }
            eventually("all threads end", || {
                threads().into_iter().all(|thread| before.contains(&thread))
            });
            eventually("every token comes back", || jobserver.held() == 0);
            assert_eq!(jobserver.available().expect("a local budget can be counted"), 3);
            // The own slot, too.
            assert_eq!(pool_on(&jobserver, 2).install(|| 7), 7);
        });
    });
}

#[test]
fn an_idle_pool_sleeps() {
    in_own_process("rest::an_idle_pool_sleeps", &[], || {
        must_end("idle pools", || {
            let (gauge, jobserver) = (Gauge::default(), Jobserver::new(5));
            let unused = pool_on(&jobserver, 3);
            let pools = [pool_on(&jobserver, 8), pool_on(&jobserver, 1)];
            pools.iter().for_each(|pool| pool.install(|| leaves(&gauge, 40)));
            assert_eq!(pools[0].broadcast(|_| ()).len(), 8);
            settled(&gauge, &jobserver, 5, &[&unused, &pools[0], &pools[1]]);
            let switches = || switches_of_others().expect("proc is mounted");
            let still = |time: Duration| {
                let before = switches();
                virtual_core(time); // not a wait for anything: the time in which nobody may wake up
                (switches() == before).then_some(before)
            };
            // A worker that has parked may still be on its way to its seat, and wait long for a core.
            eventually("the pools fall asleep", || still(Duration::from_millis(200)).is_some());
            let asleep = still(Duration::from_secs(1));
            assert!(asleep.is_some_and(|threads| threads.len() > 12), "an idle pool woke up");
        });
    });
}
