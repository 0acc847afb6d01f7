//! A rayon pool's queues and sleep as in rayon-core 1.13, `registry.rs` and `sleep/mod.rs`, without
//! their races.

use std::collections::VecDeque;

use super::Nanos;
use super::governor::GovernorThread;
use super::jobserver::Fund;
use super::program::Code;
use super::worker::{Frame, Mode, Worker};
use super::world::{Event, World};
use crate::governor::policy::{Knobs, Policy};
use crate::jobserver::Demand;

#[derive(Clone, Copy, Debug)]
pub(super) enum Waiter {
    Worker(usize, usize),
    Caller(usize),
    Nobody,
}

#[derive(Debug)]
pub(super) struct Latch {
    left: usize,
    waiter: Waiter,
}

impl Latch {
    pub(super) fn is_set(&self) -> bool {
        self.left == 0
    }
}

#[derive(Debug)]
pub(super) enum Job {
    Probe,
    Summons,
    Piece(Piece),
}

/// A job of a program.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) code: Code,
    pub(super) latch: Option<usize>,
    /// The call from outside that ends with the last job that shares it.
    pub(super) visit: Option<usize>,
    /// The broadcast that the first copy announces.
    pub(super) announces: Option<usize>,
    /// Whether the pool must not terminate before.
    pub(super) spawned: bool,
}

impl Piece {
    pub(super) fn new(code: Code, latch: Option<usize>) -> Self {
        Piece { code, latch, visit: None, announces: None, spawned: false }
    }
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) process: usize,
    pub(super) account: usize,
    /// Called in ways that no governor sees, and never dropped.
    pub(super) anchored: bool,
    /// Worker 0 is the thread that built the pool.
    pub(super) adopts: bool,
    pub(super) workers: Vec<Worker>,
    pub(super) injector: VecDeque<Job>,
    pub(super) policy: Policy,
    pub(super) purse: Vec<Fund>,
    pub(super) demand: Demand,
    pub(super) governor: GovernorThread,
    /// Jobs of programs that any worker could take, in deques and injector.
    pub(super) queued: usize,
    /// Pieces that run or are queued.
    pub(super) pieces: usize,
    /// Jobs in the deques.
    stealable: usize,
    /// Workers registered as inactive, asleep or not.
    pub(super) inactive: usize,
    pub(super) asleep: usize,
    terminate: usize,
    /// rayon's terminate count.
    holds: usize,
    /// Workers that are admitted, as counted here.
    pub(super) admitted: usize,
    /// Callers that may still call the pool.
    pub(super) users: usize,
    /// The pools that the thread which built this one may call.
    pub(super) uses: Vec<usize>,
    pub(super) dropped: bool,
    /// When its last job was done.
    pub(super) done: Nanos,
    /// When a call that is under way last put a job into it that nobody announced.
    surprised: Option<Nanos>,
}

impl Pool {
    pub(super) fn new(
        process: usize,
        account: usize,
        terminate: usize,
        workers: Vec<Worker>,
        (anchored, adopts): (bool, bool),
        knobs: Knobs,
    ) -> Self {
        Pool {
            process,
            account,
            anchored,
            adopts,
            policy: Policy::new(workers.len(), anchored || adopts, knobs),
            workers,
            injector: VecDeque::new(),
            purse: Vec::new(),
            demand: Demand::default(),
            governor: GovernorThread::default(),
            queued: 0,
            pieces: 0,
            stealable: 0,
            inactive: 0,
            asleep: 0,
            terminate,
            holds: 1,
            admitted: 0,
            users: 0,
            uses: Vec::new(),
            dropped: false,
            done: 0,
            surprised: None,
        }
    }
}

impl Pool {
    /// Whether it is called, and could know of all that it has to do for so long.
    pub(super) fn knows_of_call(&self, now: Nanos, since: Nanos) -> bool {
        let knows = self.surprised.is_none_or(|at| at + since < now);
        self.policy.engaged > 0 && knows
    }
}

impl World {
    pub(super) fn latch(&mut self, left: usize, waiter: Waiter) -> usize {
        self.latches.push(Latch { left, waiter });
        self.latches.len() - 1
    }

    pub(super) fn count_down(&mut self, latch: usize) {
        let Latch { left, waiter } = &mut self.latches[latch];
        *left -= 1;
        if *left > 0 {
            return;
        }
        match *waiter {
            Waiter::Worker(pool, worker) => self.notify_latch(pool, worker, latch),
            Waiter::Caller(caller) => self.wake_at(Event::Caller(caller)),
            Waiter::Nobody => {}
        }
    }

    /// Wakes a worker that sleeps on this very latch.
    pub(super) fn notify_latch(&mut self, pool: usize, worker: usize, latch: usize) {
        if matches!(self.pools[pool].workers[worker].stack.last(), Some(Frame::Wait(on)) if *on == latch)
        {
            self.rouse(pool, worker);
        }
    }

    /// Wakes a worker if it is asleep.
    fn rouse(&mut self, pool: usize, worker: usize) -> bool {
        let sleeper = &mut self.pools[pool].workers[worker];
        if sleeper.mode != Mode::Asleep {
            return false;
        }
        sleeper.mode = Mode::Running;
        sleeper.looks = Some(0);
        self.pools[pool].asleep -= 1;
        self.wake_at(Event::Worker(pool, worker));
        true
    }

    fn rouse_any(&mut self, pool: usize, mut count: usize) {
        for worker in 0..self.pools[pool].workers.len() {
            if count == 0 {
                return;
            }
            count -= usize::from(self.rouse(pool, worker));
        }
    }

    /// `Sleep::new_jobs` for one job.
    fn new_job(&mut self, pool: usize, queue_was_empty: bool) {
        let Pool { inactive, asleep, .. } = self.pools[pool];
        if asleep > 0 && (!queue_was_empty || inactive == asleep) {
            self.rouse_any(pool, 1);
        }
    }

    pub(super) fn inject(&mut self, pool: usize, job: Job) {
        let home = &mut self.pools[pool];
        let was_empty = home.injector.is_empty();
        home.queued += usize::from(matches!(job, Job::Piece(_)));
        home.pieces += usize::from(matches!(job, Job::Piece(_)));
        home.holds +=
            usize::from(matches!(&job, Job::Probe | Job::Piece(Piece { spawned: true, .. })));
        home.injector.push_back(job);
        self.new_job(pool, was_empty);
    }

    /// A job of a call that is under way already.
    pub(super) fn inject_late(&mut self, pool: usize, piece: Piece) {
        self.pools[pool].surprised = Some(self.now);
        self.inject(pool, Job::Piece(piece));
    }

    /// A copy for each worker.
    pub(super) fn inject_broadcast(&mut self, pool: usize, copy: &Piece) {
        let home = &mut self.pools[pool];
        let count = home.workers.len();
        home.pieces += count;
        home.holds += if copy.spawned { count } else { 0 };
        for worker in &mut home.workers {
            worker.mail.push_back(Job::Piece(copy.clone()));
        }
        for worker in 0..count {
            self.rouse(pool, worker);
        }
    }

    /// A copy of the governor's summons for each worker.
    pub(super) fn inject_summons(&mut self, pool: usize) {
        let home = &mut self.pools[pool];
        home.holds += home.workers.len();
        for worker in 0..home.workers.len() {
            self.pools[pool].workers[worker].mail.push_back(Job::Summons);
            self.rouse(pool, worker);
        }
    }

    pub(super) fn push(&mut self, pool: usize, worker: usize, piece: Piece) {
        let home = &mut self.pools[pool];
        home.queued += 1;
        home.stealable += 1;
        home.pieces += 1;
        home.holds += usize::from(piece.spawned);
        let deque = &mut home.workers[worker].deque;
        let was_empty = deque.is_empty();
        deque.push_back(Job::Piece(piece));
        self.new_job(pool, was_empty);
    }

    pub(super) fn take_local(&mut self, pool: usize, worker: usize) -> Option<Job> {
        let home = &mut self.pools[pool];
        if let Some(job) = home.workers[worker].deque.pop_back() {
            home.stealable -= 1;
            home.queued -= 1;
            return Some(job);
        }
        home.workers[worker].mail.pop_front()
    }

    pub(super) fn find_work(&mut self, pool: usize, worker: usize) -> Option<Job> {
        if let Some(job) = self.take_local(pool, worker) {
            return Some(job);
        }
        let home = &mut self.pools[pool];
        if home.stealable > 0 {
            let count = home.workers.len();
            let start = self.dice.below(count);
            let victims = (start..count).chain(0..start);
            let stolen =
                victims.into_iter().find_map(|victim| home.workers[victim].deque.pop_front());
            home.stealable -= 1;
            home.queued -= 1;
            return stolen;
        }
        let job = home.injector.pop_front()?;
        home.queued -= usize::from(matches!(job, Job::Piece(_)));
        Some(job)
    }

    /// `Sleep::work_found`: one inactive worker less, and up to two sleepers take its place.
    pub(super) fn work_found(&mut self, pool: usize, worker: usize) {
        let home = &mut self.pools[pool];
        home.workers[worker].looks = None;
        home.inactive -= 1;
        let wake = home.asleep.min(2);
        self.rouse_any(pool, wake);
    }

    /// rayon's `terminate`: one reason less to go on.
    pub(super) fn release(&mut self, pool: usize) {
        let home = &mut self.pools[pool];
        home.holds -= 1;
        let terminate = home.terminate;
        // A thread that lingers may spawn once more after the end.
        if home.holds == 0 && !self.latches[terminate].is_set() {
            self.count_down(terminate);
            for worker in 0..self.pools[pool].workers.len() {
                self.notify_latch(pool, worker, terminate);
            }
        }
    }
}
