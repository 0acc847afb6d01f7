//! A process that has given everything back and lives on all the same: its `exec` has failed, say.

use std::thread;
use std::time::Duration;

use rayon_jobserver::{Jobserver, ThreadPoolBuilder, session};

use crate::process::in_own_process;
use crate::support::{Gauge, must_end, virtual_core};

#[test]
fn pools_and_threads_go_on_upon_the_own_slot() {
    in_own_process("give_back::pools_and_threads_go_on_upon_the_own_slot", &[], || {
        session::initialize_checked(|warning| panic!("{warning}"));
        let jobserver = session::client();
        let pools = [(); 2].map(|()| {
            let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone());
            builder.build().expect("four workers")
        });
        let token = jobserver.acquire();
        session::acquire_thread();
        assert_eq!(jobserver.held(), 2);

        rayon_jobserver::give_back();
        assert_eq!((jobserver.held(), jobserver.available().expect("in this process")), (0, 31));
        assert!(jobserver.try_acquire().is_none());
        // What they stood for is back already.
        drop(token);
        session::release_thread();
        assert_eq!((jobserver.held(), jobserver.available().expect("in this process")), (0, 31));

        must_end("work on the own slot", move || {
            session::release_thread();
            let gauge = Gauge::default();
            thread::scope(|scope| {
                for pool in &pools {
                    scope.spawn(|| {
                        for _ in 0..20 {
                            pool.broadcast(|_| gauge.leaf(thread::yield_now));
                            let token = jobserver.acquire();
                            gauge.leaf(thread::yield_now);
                            drop(token);
                        }
                    });
                }
            });
            assert_eq!((gauge.most(), gauge.total()), (1, 200));
        });
    });
}

/// Once a pool that held tokens ran on as wide as before for as long as calls kept coming.
#[test]
fn a_pool_that_is_busy_meanwhile_goes_on_upon_the_own_slot() {
    in_own_process(
        "give_back::a_pool_that_is_busy_meanwhile_goes_on_upon_the_own_slot",
        &[],
        || {
            let jobserver = Jobserver::new(7);
            let builder = ThreadPoolBuilder::new().num_threads(8).jobserver(jobserver.clone());
            let pool = builder.build().expect("eight workers");
            must_end("growth to all tokens, and back to the own slot", move || {
                let section = || {
                    let leaf = || virtual_core(Duration::from_millis(1));
                    pool.scope(|scope| (0..16).for_each(|_| scope.spawn(|_| leaf())));
                };
                while pool.stats().admitted < 8 {
                    section();
                }
                rayon_jobserver::give_back();
                while pool.stats().admitted > 1 {
                    section();
                }
                let gauge = Gauge::default();
                pool.scope(|scope| {
                    (0..16).for_each(|_| scope.spawn(|_| gauge.leaf(thread::yield_now)));
                });
                assert_eq!((gauge.most(), jobserver.held()), (1, 0));
            });
        },
    );
}

#[test]
fn a_jobserver_connected_later_works() {
    in_own_process("give_back::a_jobserver_connected_later_works", &[], || {
        let early = Jobserver::new(1);
        rayon_jobserver::give_back();
        assert!(early.try_acquire().is_none());
        assert!(Jobserver::new(1).try_acquire().is_some());
    });
}

#[test]
fn a_thread_gets_the_own_slot_of_an_idle_global_pool() {
    in_own_process("give_back::a_thread_gets_the_own_slot_of_an_idle_global_pool", &[], || {
        let jobserver = Jobserver::new(1);
        let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone());
        builder.build_global().expect("there is none yet");
        assert_eq!(rayon::join(|| 1, || 2), (1, 2));
        rayon_jobserver::give_back();
        must_end("a thread's turn, and then a bare call", move || {
            for _ in 0..5 {
                drop(jobserver.acquire());
                assert_eq!(rayon::join(|| 1, || 2), (1, 2));
            }
        });
    });
}
