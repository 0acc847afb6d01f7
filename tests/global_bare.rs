//! The global pool under calls that never mention us.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder, global};

#[expect(dead_code, reason = "shared with the other tests, which use the rest")]
#[path = "it/process.rs"]
mod process;
#[expect(dead_code, reason = "shared with the other tests, which use the rest")]
#[path = "it/support.rs"]
mod support;

use process::in_own_process;
use support::{Gauge, eventually, must_end, tree, virtual_core};

const WORKERS: usize = 16;
const LEAF: Duration = Duration::from_micros(200);

/// Every bare call, from a thread outside the pool.
fn calls(gauge: &Arc<Gauge>) {
    let leaf = || gauge.leaf(|| virtual_core(LEAF));
    let sum: usize = (0..64).into_par_iter().with_max_len(1).map(|n| (leaf(), n).1).sum();
    assert_eq!(sum, 2016);
    assert_eq!(tree(gauge, LEAF, 5), 32);
    rayon::scope(|scope| (0..20).for_each(|_| scope.spawn(|_| leaf())));
    rayon::scope_fifo(|scope| (0..20).for_each(|_| scope.spawn_fifo(|_| leaf())));
    rayon::in_place_scope(|scope| (0..20).for_each(|_| scope.spawn(|_| leaf())));
    assert_eq!(rayon::broadcast(|context| (leaf(), context.index()).1).len(), WORKERS);

    let (done, dones) = channel();
    for _ in 0..20 {
        let (gauge, done) = (Arc::clone(gauge), done.clone());
        rayon::spawn(move || {
            gauge.leaf(|| virtual_core(LEAF));
            done.send(()).expect("the test waits");
        });
    }
    let (copies, everywhere) = (Arc::clone(gauge), done.clone());
    rayon::spawn_broadcast(move |_| {
        copies.leaf(|| virtual_core(LEAF));
        everywhere.send(()).expect("the test waits");
    });
    rayon::spawn_fifo(move || {
        // From within.
        rayon::broadcast(|_| ());
        done.send(()).expect("the test waits");
    });
    assert_eq!(dones.into_iter().count(), 20 + WORKERS + 1);
}

fn exercise(tokens: usize) {
    let jobserver = Jobserver::new(tokens);
    let builder = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(jobserver.clone());
    // Leaves sleep in place of cores.
    builder.detect_blocking(None).build_global().expect("the first and only");
    assert_eq!(rayon::current_num_threads(), WORKERS);
    let gauge = Arc::new(Gauge::default());
    calls(&gauge);
    // Several callers at once, of a pool that has gone idle in between.
    eventually("an idle pool holds no token", || jobserver.held() == 0);
    thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(|| calls(&gauge)))));

    let width = WORKERS.min(tokens + 1);
    eventually("a loop of broadcasts has all tokens there are", || {
        rayon::broadcast(|_| gauge.leaf(|| virtual_core(LEAF)));
        global::stats().is_some_and(|now| now.admitted == width)
    });
    let most = gauge.most();
    assert!(most <= width, "{most} at once with {tokens} tokens");
    eventually("an idle pool holds no token", || jobserver.held() == 0);
    assert_eq!(jobserver.available().expect("a local budget can be counted"), tokens);
    let stats = global::stats().expect("it was built");
    assert_eq!(stats.overcommits, 0);
    assert!(stats.peak <= width, "{stats:?}");
    eventually("one worker keeps watch", || global::stats().is_some_and(|now| now.admitted == 1));
}

fn with_budget(test: &str, tokens: usize) {
    in_own_process(test, &[], || must_end(test, move || exercise(tokens)));
}

#[test]
fn the_own_slot_alone() {
    with_budget("the_own_slot_alone", 0);
}

#[test]
fn one_token() {
    with_budget("one_token", 1);
}

#[test]
fn three_tokens() {
    with_budget("three_tokens", 3);
}

#[test]
fn more_tokens_than_workers() {
    with_budget("more_tokens_than_workers", 40);
}
