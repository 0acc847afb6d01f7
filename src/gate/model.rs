//! The hand-off between parking, admitting and posting probes, in every interleaving.
//!
//! The seats and the policy are the real ones. rayon is an injector that workers sleep at; the
//! governor's event loop and the ledger's locking are written out as in `governor/mod.rs` and
//! `jobserver/ledger.rs`, on `loom`'s locks. Time passes by itself: whenever the governor's thread
//! runs, its deadline has come. `loom` reports as a deadlock what does not finish, and as too many
//! branches what goes round for ever.
//!
//! Run by `RUSTFLAGS="--cfg loom" cargo test --release --lib model -- --test-threads=1`.

mod ledger;
mod pool;

use std::sync::Arc;

use loom::thread;

use crate::gate::Parker;
use crate::governor::policy::Wake;
use ledger::{Ledger, Rival};
use pool::{Job, Pool};

/// Runs `calls` against a pool, then drops the pool and checks that all has ended and everything
/// is back.
fn explore(
    preemptions: usize,
    workers: usize,
    tokens: u8,
    calls: impl Fn(&Pool) + Send + Sync + 'static,
) {
    check(preemptions, move || {
        let ledger = Ledger::new(tokens, None);
        let pool = Pool::new(workers, &ledger);
        let threads = pool.start();
        calls(&pool);
        pool.drain();
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        ledger.check_whole();
    });
}

/// Explores all interleavings in which at most so many threads are interrupted where they need
/// not be; every thread may come next wherever one blocks, besides.
fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

#[test]
fn call_before_wait() {
    loom::model(|| {
        let seat = Arc::new(Parker::new());
        let worker = {
            let seat = Arc::clone(&seat);
            thread::spawn(move || seat.wait())
        };
        seat.call(Wake::Work);
        assert_eq!(worker.join().expect("it is called"), Wake::Work);
    });
}

#[test]
fn start_races_enter() {
    explore(2, 1, 0, |pool| {
        pool.spawn(Job::Leaf);
        pool.wait_for(1);
    });
}

#[test]
fn enter_races_last_park() {
    explore(2, 1, 0, |pool| {
        pool.spawn(Job::Leaf);
        pool.wait_for(1);
        // By now the worker may be anywhere between the job's end and its seat.
        pool.spawn(Job::Leaf);
        pool.wait_for(2);
    });
}

#[test]
fn drain_races_park() {
    explore(3, 1, 1, |pool| pool.spawn(Job::Leaf));
    explore(1, 2, 1, |pool| pool.spawn(Job::Leaf));
}

#[test]
fn handover_races_leave() {
    explore(2, 2, 0, |pool| pool.spawn(Job::Join));
}

#[test]
fn growth_races_retire() {
    explore(1, 2, 1, |pool| {
        pool.spawn(Job::Join);
        pool.wait_for(1);
    });
}

#[test]
fn grant_races_retire() {
    check(3, || {
        let ledger = Ledger::new(0, Some(Rival::new()));
        let rival = ledger.rival.as_ref().expect("just made");
        let pool = Pool::new(1, &ledger);
        let own = ledger.try_take().expect("nobody else has it yet");
        let threads = pool.start();
        pool.spawn(Job::Leaf);
        // The pool may be about to ask for the own slot, or waiting for it.
        ledger.give(own);
        // And now it may be about to get it, to use it or to give it up.
        let own = ledger.acquire(rival);
        ledger.give(own);
        pool.wait_for(1);
        pool.drain();
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        ledger.check_whole();
    });
}
