//! A rayon pool as rayon-core 1.13 runs it: `registry.rs` and `sleep/mod.rs`, without their races.
//!
//! One step of a worker is one event: an operation of its program, or one look for work.

use std::collections::VecDeque;

use super::Nanos;
use super::gate::GovernorThread;
use super::jobserver::Fund;
use super::program::{Code, Op};
use super::world::{Event, World};
use crate::governor::policy::{Judged, Knobs, Policy, Wake};
use crate::jobserver::Demand;

/// How often an idle worker looks for work before it goes to sleep, 33 in rayon, where a look
/// takes less time.
const ROUNDS: u32 = 4;

/// A look for work that finds none.
const LOOK: Nanos = 2_000;

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

/// What a worker's stack consists of.
#[derive(Debug)]
pub(super) enum Frame {
    /// `wait_until`.
    Wait(usize),
    /// A job, and the operation it is at.
    Run(Piece, usize),
    /// Has announced a call into this pool, which ends here.
    Visit(usize),
    /// In the gate.
    Gate,
    /// Running its own jobs in the gate.
    Turn { ran: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The thread has not come up yet.
    Unborn,
    /// Its next step is among the events.
    Running,
    /// In rayon's sleep.
    Asleep,
    /// Blocked in the gate.
    Gated,
    Gone,
}

/// What a worker had used up when it was last seen in a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) at: Nanos,
    pub(super) cpu: Nanos,
    /// Known to the worker itself alone.
    pub(super) sleeps: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) deque: VecDeque<Job>,
    /// Copies of broadcasts.
    pub(super) mail: VecDeque<Job>,
    pub(super) stack: Vec<Frame>,
    pub(super) mode: Mode,
    /// Registered as inactive, and how often it has looked since.
    looks: Option<u32>,
    /// Called while in the gate, and not yet awake.
    pub(super) call: Option<Wake>,
    /// Counted as admitted by the policy.
    pub(super) funded: bool,
    cpu: Nanos,
    /// When the running computation began.
    computing: Option<Nanos>,
    sleeps: u64,
    pub(super) seen: Option<Usage>,
    /// When and how it was last judged.
    pub(super) judged: Option<(Nanos, Judged)>,
}

impl Worker {
    pub(super) fn new(terminate: usize) -> Self {
        Worker {
            deque: VecDeque::new(),
            mail: VecDeque::new(),
            stack: vec![Frame::Wait(terminate)],
            mode: Mode::Unborn,
            looks: None,
            call: None,
            funded: false,
            cpu: 0,
            computing: None,
            sleeps: 0,
            seen: None,
            judged: None,
        }
    }

    /// What the worker has used up, as `itself` or somebody else sees it.
    pub(super) fn usage(&self, now: Nanos, itself: bool) -> Usage {
        let running = self.computing.map_or(0, |since| now - since);
        Usage { at: now, cpu: self.cpu + running, sleeps: itself.then_some(self.sleeps) }
    }

    /// Whether it is free to run jobs and has none.
    pub(super) fn is_idle(&self) -> bool {
        self.funded && self.looks.is_some()
    }

    /// The latch that the worker waits for, be it in the gate or not.
    pub(super) fn waits_for(&self) -> Option<usize> {
        let frames = self.stack.iter().rev();
        frames.filter(|frame| !matches!(frame, Frame::Gate)).find_map(|frame| match frame {
            Frame::Wait(latch) => Some(*latch),
            _ => None,
        })
    }
}

#[derive(Debug)]
pub(super) struct Pool {
    pub(super) process: usize,
    pub(super) account: usize,
    pub(super) anchored: bool,
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
    inactive: usize,
    asleep: usize,
    terminate: usize,
    /// rayon's terminate count.
    holds: usize,
    /// Workers that are admitted, as counted here.
    pub(super) admitted: usize,
    /// Callers that may still call the pool.
    pub(super) users: usize,
    pub(super) dropped: bool,
    /// When its last job was done.
    pub(super) done: Nanos,
}

impl Pool {
    pub(super) fn new(
        process: usize,
        account: usize,
        terminate: usize,
        workers: Vec<Worker>,
        anchored: bool,
        knobs: Knobs,
    ) -> Self {
        Pool {
            process,
            account,
            anchored,
            policy: Policy::new(workers.len(), anchored, knobs),
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
            dropped: false,
            done: 0,
        }
    }
}

impl World {
    pub(super) fn latch(&mut self, left: usize, waiter: Waiter) -> usize {
        self.latches.push(Latch { left, waiter });
        self.latches.len() - 1
    }

    fn count_down(&mut self, latch: usize) {
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
    fn notify_latch(&mut self, pool: usize, worker: usize, latch: usize) {
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

    fn push(&mut self, pool: usize, worker: usize, piece: Piece) {
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

    fn find_work(&mut self, pool: usize, worker: usize) -> Option<Job> {
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
    fn work_found(&mut self, pool: usize, worker: usize) {
        let home = &mut self.pools[pool];
        home.workers[worker].looks = None;
        home.inactive -= 1;
        let wake = home.asleep.min(2);
        self.rouse_any(pool, wake);
    }

    /// The next step of a worker after one that took `cost` of computing.
    pub(super) fn go_on(&mut self, pool: usize, worker: usize) {
        let pause = self.weather.hop(&mut self.dice);
        self.pools[pool].workers[worker].cpu += pause.min(1_000);
        self.after(pause, Event::Worker(pool, worker));
    }

    /// One step of a worker.
    pub(super) fn work(&mut self, pool: usize, worker: usize) {
        let me = &mut self.pools[pool].workers[worker];
        if let Some(since) = me.computing.take() {
            me.cpu += self.now - since;
        }
        if me.mode == Mode::Unborn {
            me.mode = Mode::Running;
            return self.start(pool, worker);
        }
        match me.stack.last_mut() {
            None => me.mode = Mode::Gone,
            Some(Frame::Wait(latch)) => {
                let latch = *latch;
                self.wait(pool, worker, latch);
            }
            Some(Frame::Run(piece, at)) => {
                let op = piece.code.get(*at).cloned();
                *at += 1;
                match op {
                    Some(op) => self.operate(pool, worker, op),
                    None => self.finish(pool, worker),
                }
            }
            Some(&mut Frame::Visit(called)) => {
                me.stack.pop();
                self.leave(called);
                self.go_on(pool, worker);
            }
            Some(Frame::Gate) => self.called(pool, worker),
            Some(Frame::Turn { .. }) => self.take_turn(pool, worker),
        }
    }

    /// One round of `wait_until`.
    fn wait(&mut self, pool: usize, worker: usize, latch: usize) {
        let looks = self.pools[pool].workers[worker].looks;
        if self.latches[latch].is_set() {
            if looks.is_some() {
                self.work_found(pool, worker);
            }
            self.pools[pool].workers[worker].stack.pop();
            return self.go_on(pool, worker);
        }
        if looks.is_none() {
            if let Some(job) = self.take_local(pool, worker) {
                return self.execute(pool, worker, job);
            }
            self.pools[pool].inactive += 1;
        }
        if let Some(job) = self.find_work(pool, worker) {
            self.pools[pool].workers[worker].looks = Some(0);
            self.work_found(pool, worker);
            return self.execute(pool, worker, job);
        }
        let looks = looks.unwrap_or(0) + 1;
        let me = &mut self.pools[pool].workers[worker];
        me.looks = Some(looks);
        if looks < ROUNDS {
            me.cpu += LOOK;
            let pause = LOOK + self.weather.hop(&mut self.dice);
            self.after(pause, Event::Worker(pool, worker));
        } else {
            me.mode = Mode::Asleep;
            me.sleeps += 1;
            self.pools[pool].asleep += 1;
        }
    }

    pub(super) fn execute(&mut self, pool: usize, worker: usize, job: Job) {
        match job {
            Job::Probe => self.probe(pool, worker),
            Job::Piece(piece) => {
                let home = &mut self.pools[pool];
                let me = &mut home.workers[worker];
                assert!(me.funded || home.policy.ended(), "a parked worker runs a job");
                let announces = piece.announces;
                me.stack.push(Frame::Run(piece, 0));
                if let Some(announces) = announces {
                    self.announce(pool, announces);
                }
                self.go_on(pool, worker);
            }
        }
    }

    fn operate(&mut self, pool: usize, worker: usize, op: Op) {
        match op {
            Op::Compute(time) => {
                self.pools[pool].workers[worker].computing = Some(self.now);
                return self.after(time, Event::Worker(pool, worker));
            }
            Op::Block(time) => {
                let me = &mut self.pools[pool].workers[worker];
                me.cpu += 2_000;
                me.sleeps += 1;
                return self.after(time, Event::Worker(pool, worker));
            }
            Op::Join(left, right) => {
                // The left one is called, not queued.
                let latch = self.latch(2, Waiter::Worker(pool, worker));
                self.push(pool, worker, Piece::new(right, Some(latch)));
                self.wait_for(pool, worker, latch);
                self.pools[pool].pieces += 1;
                self.unfinished += 2;
                let left = Frame::Run(Piece::new(left, Some(latch)), 0);
                self.pools[pool].workers[worker].stack.push(left);
            }
            Op::Scope(parts) => {
                let latch = self.latch(parts.len(), Waiter::Worker(pool, worker));
                self.unfinished += parts.len();
                for part in parts {
                    self.push(pool, worker, Piece::new(part, Some(latch)));
                }
                self.wait_for(pool, worker, latch);
            }
            Op::Spawn(code) => {
                self.unfinished += 1;
                let piece = Piece { spawned: true, ..Piece::new(code, None) };
                self.push(pool, worker, piece);
            }
            Op::Call(other, code) => {
                self.unfinished += 1;
                let latch = self.latch(1, Waiter::Worker(pool, worker));
                if !self.pools[other].anchored {
                    self.enter(other);
                    self.pools[pool].workers[worker].stack.push(Frame::Visit(other));
                }
                self.inject(other, Job::Piece(Piece::new(code, Some(latch))));
                self.wait_for(pool, worker, latch);
            }
            Op::Broadcast(time) => {
                let count = self.pools[pool].workers.len();
                self.unfinished += count;
                let latch = self.latch(count, Waiter::Worker(pool, worker));
                let code: Code = [Op::Compute(time)].into();
                self.inject_broadcast(pool, &Piece::new(code, Some(latch)));
                self.wait_for(pool, worker, latch);
            }
        }
        self.go_on(pool, worker);
    }

    fn wait_for(&mut self, pool: usize, worker: usize, latch: usize) {
        self.pools[pool].workers[worker].stack.push(Frame::Wait(latch));
    }

    /// The job on top of a worker's stack has run.
    fn finish(&mut self, pool: usize, worker: usize) {
        let Some(Frame::Run(piece, _)) = self.pools[pool].workers[worker].stack.pop() else {
            unreachable!("only a job finishes");
        };
        self.pools[pool].pieces -= 1;
        self.pools[pool].done = self.now;
        self.unfinished -= 1;
        if let Some(visit) = piece.visit {
            self.visits[visit] -= 1;
            if self.visits[visit] == 0 {
                self.leave(pool);
            }
        }
        if let Some(latch) = piece.latch {
            self.count_down(latch);
        }
        if piece.spawned {
            self.release(pool);
        }
        self.go_on(pool, worker);
    }

    /// rayon's `terminate`: one reason less to go on.
    pub(super) fn release(&mut self, pool: usize) {
        let home = &mut self.pools[pool];
        home.holds -= 1;
        if home.holds == 0 {
            let terminate = home.terminate;
            self.count_down(terminate);
            for worker in 0..self.pools[pool].workers.len() {
                self.notify_latch(pool, worker, terminate);
            }
        }
    }
}
