//! Waiting by a `Monitor` when what it calls panics.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use rayon_jobserver::Monitor;

use crate::support::{must_end, pool};

#[test]
fn a_change_that_panics_is_seen_by_those_who_wait() {
    must_end("whoever waits", || {
        let (pool, answer) = (pool(2, 0), Arc::new(Monitor::new(None)));
        let (asked, updated) = pool.join(
            || answer.wait_until(|answer| *answer),
            || {
                let change = |answer: &mut Option<i32>| {
                    *answer = Some(42);
                    panic!("changed all the same");
                };
                panic::catch_unwind(AssertUnwindSafe(|| answer.update(change)))
            },
        );
        let panic = updated.expect_err("it comes through");
        assert_eq!(panic.downcast_ref(), Some(&"changed all the same"));
        assert_eq!(asked, 42);
    });
}

#[test]
fn a_look_that_panics_leaves_the_worker_and_the_monitor_as_they_were() {
    must_end("whoever waits", || {
        let (pool, state) = (pool(2, 1), Arc::new(Monitor::new(0)));
        let look = |state: &mut i32| if *state == 1 { panic!("found it") } else { None::<()> };
        let wait = || panic::catch_unwind(AssertUnwindSafe(|| state.wait_until(look)));
        let (waited, ()) = pool.join(wait, || state.update(|state| *state = 1));
        let panic = waited.expect_err("it comes through");
        assert_eq!(panic.downcast_ref(), Some(&"found it"));
        assert_eq!(state.update(|state| *state), 1, "the lock is free");
        assert_eq!(pool.join(|| 1, || 2), (1, 2));
    });
}
