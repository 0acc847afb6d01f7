//! What the mechanism needs of rayon-core 1.13.
//!
//! Should a later rayon fail one of these, budgets are still kept and nothing hangs; what suffers
//! is said in the message.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rayon_core::{ThreadPool, ThreadPoolBuilder, Yield};

#[expect(dead_code, reason = "shared with the other tests, which use the rest")]
#[path = "it/support.rs"]
mod support;
use support::must_end;

/// What a worker that a test holds is to do.
type Order = Box<dyn FnOnce() + Send>;
type Orders = Sender<Order>;

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().expect("no test panics while it notes").push(what.into());
    }

    fn entry(&self, what: &'static str) -> impl Fn() + Clone + Send + Sync + 'static {
        let log = self.clone();
        move || log.note(what)
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().expect("no test panics while it notes").clone()
    }
}

fn pool(workers: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(workers).build().expect("a small pool")
}

/// A pool whose start handlers do what they are sent, until their channel is closed.
fn held_pool(workers: usize) -> (ThreadPool, Vec<Orders>) {
    let (send, receive): (Vec<_>, Vec<_>) = (0..workers).map(|_| channel::<Order>()).unzip();
    let orders: Vec<_> = receive.into_iter().map(|receiver| Mutex::new(Some(receiver))).collect();
    let builder = ThreadPoolBuilder::new().num_threads(workers).start_handler(move |index| {
        let receiver = orders[index].lock().expect("one handler each").take();
        receiver.into_iter().flatten().for_each(|order| order());
    });
    (builder.build().expect("a small pool"), send)
}

/// Has a job started on some worker, from outside, that runs what it is sent until its channel is
/// closed. Returns its channel and the worker, once it runs.
fn occupy(pool: &ThreadPool) -> (Orders, usize) {
    let (send, receive) = channel::<Order>();
    let (begun, begins) = channel();
    pool.spawn(move || {
        begun.send(rayon_core::current_thread_index()).expect("the test waits");
        receive.into_iter().for_each(|order| order());
    });
    let worker = begins.recv().expect("the job begins").expect("a job runs on a worker");
    (send, worker)
}

/// Runs `order` there and returns its result.
fn at<R: Send + 'static>(place: &Orders, order: impl FnOnce() -> R + Send + 'static) -> R {
    let (send, receive) = channel();
    place.send(Box::new(move || send.send(order()).expect("waited for"))).expect("it listens");
    receive.recv().expect("it answers")
}

/// A job that only tells that it ran.
fn signal() -> (impl Fn() + Clone + Send + Sync + 'static, Receiver<Option<usize>>) {
    let (send, receive) = channel();
    let ran = move || send.send(rayon_core::current_thread_index()).expect("the test waits");
    (ran, receive)
}

#[test]
fn start_handlers_run_on_the_worker() {
    must_end("a start handler", || {
        let (_pool, held) = held_pool(1);
        let on = at(&held[0], rayon_core::current_thread_index);
        let why = "start handlers must run on the worker itself, as a worker: \
                   ours parks it there, and its frame is where stack depths are measured from";
        assert_eq!(on, Some(0), "{why}");
    });
}

#[test]
fn a_worker_held_in_its_start_handler_runs_nothing() {
    must_end("jobs for a pool held in its start handler", || {
        let (pool, mut held) = held_pool(2);
        drop(held.pop());
        // Many, and a broadcast, so that a worker 0 that looked anywhere would find some.
        let (ran, runs) = signal();
        (0..200).for_each(|_| pool.spawn(ran.clone()));
        let workers: Vec<_> = runs.iter().take(200).collect();
        let why = "a worker blocked in its start handler must run nothing: \
                   else more run than there are tokens for";
        assert!(workers.iter().all(|&worker| worker == Some(1)), "{why}");

        let log = Log::default();
        let released = log.entry("released");
        let copy = log.entry("copy");
        let (done, ends) = channel();
        pool.spawn_broadcast(move |context| {
            if context.index() == 0 {
                copy();
                done.send(()).expect("the test waits");
            }
        });
        at(&held[0], released);
        drop(held);
        ends.recv().expect("worker 0 runs its copy");
        assert_eq!(log.read(), ["released", "copy"], "{why}");
    });
}

#[test]
fn the_injector_comes_last_and_broadcasts_before_stealing() {
    must_end("one job from each queue", || {
        let pool = pool(2);
        let (thief, thief_index) = occupy(&pool);
        let (victim, _) = occupy(&pool);
        let log = Log::default();
        // Oldest first, so that it is the kind of queue that decides.
        let (last, last_ran) = signal();
        let injected = log.entry("injected");
        pool.spawn(move || {
            injected();
            last();
        });
        let stolen = log.entry("stolen");
        at(&victim, move || rayon_core::spawn(stolen));
        let copy = log.entry("broadcast");
        pool.spawn_broadcast(move |context| {
            if context.index() == thief_index {
                copy();
            }
        });
        let own = log.entry("own");
        at(&thief, move || rayon_core::spawn(own));
        drop(thief);
        last_ran.recv().expect("the injected job runs");
        drop(victim);
        let why = "a job in the injector must be taken by a worker that found nothing else: \
                   else a probe taken does not mean idle, and budgets are given up too early; \
                   broadcast copies must come before theft for a worker to give way soon";
        assert_eq!(log.read(), ["own", "broadcast", "stolen", "injected"], "{why}");
    });
}

#[test]
fn spawns_from_outside_the_pool_go_to_its_injector_in_order() {
    must_end("spawns from outside", || {
        let (pool, other) = (pool(1), self::pool(1));
        let (worker, _) = occupy(&pool);
        let (foreign, _) = occupy(&other);
        let log = Log::default();
        pool.spawn(log.entry("first"));
        let pool = Arc::new(pool);
        let (from_foreign, second) = (Arc::clone(&pool), log.entry("second"));
        at(&foreign, move || from_foreign.spawn(second));
        let (last, last_ran) = signal();
        let third = log.entry("third");
        pool.spawn(move || {
            third();
            last();
        });
        // Later, but into the worker's own deque: the newest of these comes first.
        let (older, newer) = (log.entry("own, older"), log.entry("own, newer"));
        let inside = Arc::clone(&pool);
        at(&worker, move || {
            inside.spawn(older);
            rayon_core::spawn(newer);
        });
        drop(worker);
        last_ran.recv().expect("the last job runs");
        let why = "the governor posts probes from a thread of its own, which must reach the \
                   injector, behind what entries have put there; a worker's own spawns must not";
        let order = ["own, newer", "own, older", "first", "second", "third"];
        assert_eq!(log.read(), order, "{why}");
    });
}

#[test]
fn yield_local_runs_what_is_the_workers_own_and_nothing_else() {
    must_end("yield_local in a start handler", || {
        let (pool, held) = held_pool(2);
        let log = Log::default();
        let (last, last_ran) = signal();
        let injected = log.entry("injected");
        pool.spawn(move || {
            injected();
            last();
        });
        let stealable = log.entry("stealable");
        at(&held[1], move || rayon_core::spawn(stealable));
        let copy = log.entry("copy");
        pool.spawn_broadcast(move |context| {
            if context.index() == 0 {
                copy();
            }
        });
        let why = "a parked worker lets its own queues run by yield_local, inside the start \
                   handler too: it must find its broadcast copy, else bare broadcasts wait for \
                   the slow rotation, and must find no more, else it works unfunded";
        let yields = at(&held[0], || [(); 2].map(|()| rayon_core::yield_local()));
        assert_eq!(yields, [Some(Yield::Executed), Some(Yield::Idle)], "{why}");
        assert_eq!(log.read(), ["copy"], "{why}");
        let yields = at(&held[1], || [(); 3].map(|()| rayon_core::yield_local()));
        let own_then_copy = [Some(Yield::Executed), Some(Yield::Executed), Some(Yield::Idle)];
        assert_eq!(yields, own_then_copy, "{why}");
        assert_eq!(log.read(), ["copy", "stealable"], "{why}");
        drop(held);
        last_ran.recv().expect("the injected job runs");
    });
}

#[test]
fn a_worker_blocked_in_a_job_does_not_swallow_wake_ups() {
    must_end("a job for each worker", || {
        for _ in 0..200 {
            let pool = pool(4);
            let blocked: Vec<_> = (0..4).map(|_| occupy(&pool)).collect();
            let mut workers: Vec<_> = blocked.iter().map(|&(_, worker)| worker).collect();
            workers.sort_unstable();
            let why = "a worker parked in a probe must not count as asleep in rayon: else a new \
                       job wakes it, in vain, and an admitted worker sleeps on beside the job";
            assert_eq!(workers, [0, 1, 2, 3], "{why}");
        }
    });
}

#[test]
fn what_was_spawned_keeps_the_pool_alive_until_it_has_run() {
    must_end("a pool dropped before its job", || {
        let (exited, exits) = channel();
        let log = Log::default();
        let exit = log.entry("exit");
        let builder = ThreadPoolBuilder::new().num_threads(1).exit_handler(move |_| {
            exit();
            exited.send(()).expect("the test waits");
        });
        let pool = builder.build().expect("a small pool");
        let (worker, _) = occupy(&pool);
        pool.spawn(log.entry("job"));
        pool.spawn_broadcast({
            let copy = log.entry("copy");
            move |_| copy()
        });
        drop(pool);
        log.note("dropped");
        drop(worker);
        exits.recv().expect("the worker ends");
        let why = "rayon must let spawned jobs run before its threads end: our own drop \
                   drains nothing, it only lets the gate open";
        assert_eq!(log.read(), ["dropped", "copy", "job", "exit"], "{why}");
    });
}
