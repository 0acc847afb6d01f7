//! How pools end, whoever drops them and whatever is still to do.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use super::both;

/// An exit handler, and what tells the workers that have ended; it ends with the pool.
fn exits() -> (impl Fn(usize) + Send + Sync + 'static, Receiver<usize>) {
    let (send, receive) = channel();
    (move |index| send.send(index).expect("the test reads to the end"), receive)
}

fn all(exits: Receiver<usize>) -> Vec<usize> {
    let mut indexes: Vec<_> = exits.into_iter().collect();
    indexes.sort_unstable();
    indexes
}

#[test]
fn a_pool_never_used_ends() {
    let ended = both!("an unused pool", |builder| {
        let (exit, exits) = exits();
        drop(builder().num_threads(4).exit_handler(exit).build().unwrap());
        all(exits)
    });
    assert_eq!(ended, [0, 1, 2, 3]);
}

#[test]
fn what_was_spawned_runs_although_the_pool_is_dropped() {
    let done = both!("pending jobs", |builder| {
        let (exit, exits) = exits();
        let pool = builder().num_threads(2).exit_handler(exit).build().unwrap();
        let (send, receive) = channel();
        let (open, gate) = channel::<()>();
        let gate = Mutex::new(gate);
        // Both workers, if there are tokens for two, wait while more is spawned.
        pool.spawn_broadcast(move |_| assert!(gate.lock().unwrap().recv().is_err()));
        for n in 0..50 {
            let send = send.clone();
            pool.spawn(move || send.send(n).unwrap());
        }
        let inner = send.clone();
        pool.spawn(move || rayon::spawn(move || rayon::spawn(move || inner.send(50).unwrap())));
        drop(pool);
        drop(send);
        drop(open);
        let mut done: Vec<_> = receive.into_iter().collect();
        done.sort_unstable();
        (done, all(exits))
    });
    assert_eq!(done, ((0..=50).collect(), vec![0, 1]));
}

#[test]
fn a_broadcast_outlives_its_pool() {
    let done = both!("pending broadcast", |builder| {
        let (exit, exits) = exits();
        let pool = builder().num_threads(6).exit_handler(exit).build().unwrap();
        let (send, receive) = channel();
        pool.spawn_broadcast(move |context| send.send(context.index()).unwrap());
        drop(pool);
        (all(receive), all(exits))
    });
    assert_eq!(done.0, done.1);
}

#[test]
fn the_last_handle_may_go_on_a_worker() {
    let ended = both!("dropped by its own job", |builder| {
        let (exit, exits) = exits();
        let pool = Arc::new(builder().num_threads(3).exit_handler(exit).build().unwrap());
        let (send, receive): (Sender<()>, _) = channel();
        let inside = Arc::clone(&pool);
        pool.spawn(move || {
            // Once the test has let go of its own.
            assert!(receive.recv().is_err());
            let pool = Arc::into_inner(inside).expect("this is the last");
            assert_eq!(pool.install(|| rayon::join(|| 1, || 2)), (1, 2));
            pool.spawn(|| ());
            drop(pool);
            rayon::spawn(|| rayon::scope(|scope| scope.spawn(|_| ())));
        });
        drop(pool);
        drop(send);
        all(exits)
    });
    assert_eq!(ended, [0, 1, 2]);
}

#[test]
fn a_pool_may_end_on_a_worker_of_another() {
    let ended = both!("dropped by another pool", |builder| {
        let (exit, exits) = exits();
        let pool = builder().num_threads(3).exit_handler(exit).build().unwrap();
        let other = builder().num_threads(2).build().unwrap();
        let sum = other.install(move || {
            let sum = pool.install(|| rayon::join(|| 1, || 2));
            drop(pool);
            sum
        });
        (sum, all(exits))
    });
    assert_eq!(ended, ((1, 2), vec![0, 1, 2]));
}

#[test]
fn jobs_that_spawn_one_another_keep_their_pool_alive() {
    fn chain(left: usize, done: Sender<usize>) {
        match left {
            0 => done.send(0).expect("the test reads"),
            _ => rayon::spawn(move || chain(left - 1, done)),
        }
    }
    let done = both!("a chain of jobs", |builder| {
        let (exit, exits) = exits();
        let pool = builder().num_threads(2).exit_handler(exit).build().unwrap();
        let (send, receive) = channel();
        pool.spawn(move || chain(1_000, send));
        drop(pool);
        (all(receive), all(exits))
    });
    assert_eq!(done, (vec![0], vec![0, 1]));
}
