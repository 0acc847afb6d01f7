//! The methods of the pool, from outside and inside.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;

use rayon::Yield;
use rayon::prelude::*;

use super::both;

/// What a pool and rayon's functions say of the thread they are called on.
macro_rules! standing {
    ($pool:expr) => {{
        let pool = &$pool;
        let here = (pool.current_thread_index(), pool.current_thread_has_pending_tasks());
        (here, rayon::current_thread_index(), pool.current_num_threads())
    }};
}

#[test]
fn threads_know_where_they_are() {
    let seen = both!("current_*", |builder| {
        let pool = builder().num_threads(1).build().unwrap();
        let other = builder().num_threads(2).build().unwrap();
        let outside = standing!(pool);
        let inside = pool.install(|| standing!(pool));
        let elsewhere = other.install(|| standing!(pool).0);
        let pending = pool.scope(|scope| {
            scope.spawn(|_| ());
            pool.current_thread_has_pending_tasks()
        });
        let widths = other.install(|| (rayon::current_num_threads(), pool.current_num_threads()));
        (outside, inside, elsewhere, pending, widths)
    });
    let (outside, inside, elsewhere, pending, widths) = seen;
    assert_eq!(outside, ((None, None), None, 1));
    assert_eq!(inside, ((Some(0), Some(false)), Some(0), 1));
    assert_eq!((elsewhere, pending, widths), ((None, None), Some(true), (2, 1)));
}

#[test]
fn yields_run_jobs_on_workers_only() {
    let yields = both!("yield_local and yield_now", |builder| {
        let pool = builder().num_threads(1).build().unwrap();
        let outside = (pool.yield_local(), pool.yield_now());
        let log = Mutex::new(Vec::new());
        let inside = pool.scope(|scope| {
            let note = |what| log.lock().unwrap().push(what);
            scope.spawn(move |_| note("local"));
            let first = pool.yield_local();
            note("between");
            scope.spawn(move |_| note("now"));
            let second = pool.yield_now();
            note("after");
            (first, second, pool.yield_local())
        });
        (outside, inside, log.into_inner().unwrap())
    });
    let (outside, inside, log) = yields;
    assert_eq!(outside, (None, None));
    assert_eq!(inside, (Some(Yield::Executed), Some(Yield::Executed), Some(Yield::Idle)));
    assert_eq!(log, ["local", "between", "now", "after"]);
}

#[test]
fn an_in_place_scope_runs_its_closure_here_and_its_jobs_there() {
    let places = both!("in_place_scope", |builder| {
        let pool = builder().num_threads(2).build().unwrap();
        let here = thread::current().id();
        let (send, receive) = channel();
        let fifo = send.clone();
        let on = [
            pool.in_place_scope(|scope| {
                scope.spawn(move |_| send.send(thread::current().id() == here).unwrap());
                thread::current().id() == here
            }),
            pool.in_place_scope_fifo(|scope| {
                scope.spawn_fifo(move |_| fifo.send(thread::current().id() == here).unwrap());
                thread::current().id() == here
            }),
            pool.scope(|_| thread::current().id() == here),
            pool.scope_fifo(|_| thread::current().id() == here),
        ];
        (on, receive.into_iter().collect::<Vec<_>>())
    });
    assert_eq!(places, ([true, true, false, false], vec![false, false]));
}

#[test]
fn jobs_run_in_rayons_order() {
    let orders = both!("order of jobs", |builder| {
        let pool = builder().num_threads(1).build().unwrap();
        let (send, receive) = channel();
        let job = |n: usize| {
            let send = send.clone();
            move || send.send(n).unwrap()
        };
        let mut orders = Vec::new();
        let mut read = |count| orders.push(receive.iter().take(count).collect::<Vec<usize>>());
        (0..10).for_each(|n| pool.spawn(job(n)));
        read(10);
        (0..10).for_each(|n| pool.spawn_fifo(job(n)));
        read(10);
        pool.install(|| (0..10).for_each(|n| pool.spawn(job(n))));
        read(10);
        pool.install(|| (0..10).for_each(|n| pool.spawn_fifo(job(n))));
        read(10);
        pool.scope(|scope| (0..10).map(job).for_each(|job| scope.spawn(move |_| job())));
        read(10);
        pool.scope_fifo(|scope| (0..10).map(job).for_each(|job| scope.spawn_fifo(move |_| job())));
        read(10);
        pool.in_place_scope_fifo(|scope| {
            (0..10).map(job).for_each(|job| scope.spawn_fifo(move |_| job()));
        });
        read(10);
        orders
    });
    let up: Vec<_> = (0..10).collect();
    let down: Vec<_> = (0..10).rev().collect();
    assert_eq!(orders, [&up, &up, &down, &up, &down, &up, &up].map(Clone::clone));
}

#[test]
fn calls_nest_and_borrow() {
    let results = both!("nested calls", |builder| {
        let pool = builder().num_threads(3).build().unwrap();
        let mut squares = vec![0; 50];
        pool.install(|| {
            pool.scope(|scope| {
                for (n, square) in squares.iter_mut().enumerate() {
                    scope.spawn(move |scope| scope.spawn(move |_| *square = n * n));
                }
            });
        });
        let sum = pool.install(|| pool.install(|| squares.par_iter().sum::<usize>()));
        let broadcasts = pool.install(|| pool.broadcast(|context| context.num_threads()));
        let indexes = pool.install(|| rayon::broadcast(|context| context.index()));
        let within = pool.broadcast(|context| {
            let index = context.index();
            pool.join(move || index, || 7)
        });
        (squares, sum, broadcasts, indexes, within)
    });
    assert_eq!(results.1, 40_425);
    assert_eq!(results.4, [(0, 7), (1, 7), (2, 7)]);
}

#[test]
fn a_spawned_broadcast_runs_once_on_each_worker() {
    let indexes = both!("spawn_broadcast", |builder| {
        let pool = builder().num_threads(5).build().unwrap();
        let (send, receive) = channel();
        pool.install(|| {
            let send = send.clone();
            pool.spawn_broadcast(move |context| send.send(context.index()).unwrap());
        });
        pool.spawn_broadcast(move |context| send.send(context.index()).unwrap());
        let mut indexes: Vec<_> = receive.into_iter().collect();
        indexes.sort_unstable();
        indexes
    });
    assert_eq!(indexes, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
}
