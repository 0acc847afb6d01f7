//! A rayon worker: its stack, and its next step as rayon's main loop or its program has it.
//!
//! One step is one event: an operation of a program, or one look for work.

use std::collections::VecDeque;

use super::Nanos;
use super::machine::{Job, Piece, Waiter};
use super::program::Op;
use super::world::{Event, World};
use crate::governor::policy::{LATE, Nap, Place, Record, STIR, Still, Usage, Wake};

/// How often an idle worker looks for work before it goes to sleep, 33 in rayon, where a look
/// takes less time.
const ROUNDS: u32 = 4;

/// What a worker's stack consists of.
#[derive(Debug)]
pub(super) enum Frame {
    /// `wait_until`.
    Wait(usize),
    /// A job, and the operation it is at.
    Run(Piece, usize),
    /// Has announced a call into this pool, which ends here.
    Visit(usize),
    /// Blocks by its own word.
    Away,
    /// Yields until a latch is set.
    Spin(usize),
    /// Holds a lock, and is to let it go.
    Unlock(usize),
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

#[derive(Debug)]
pub(super) struct Worker {
    pub(super) deque: VecDeque<Job>,
    /// Copies of broadcasts.
    pub(super) mail: VecDeque<Job>,
    pub(super) stack: Vec<Frame>,
    pub(super) mode: Mode,
    /// Registered as inactive, and how often it has looked since.
    pub(super) looks: Option<u32>,
    /// Called while in the gate, and not yet awake.
    pub(super) call: Option<Wake>,
    /// Counted as admitted by the policy.
    pub(super) funded: bool,
    cpu: Nanos,
    /// When the running computation began.
    computing: Option<Nanos>,
    pub(super) sleeps: i64,
    pub(super) record: Record,
    /// As in a `Seat`.
    pub(super) felt: Nanos,
    /// How long its thread has waited for a core, and had when it last took a probe late.
    pub(super) waited: Nanos,
    pub(super) waited_before: Option<Nanos>,
    /// How deep its stack was when it took its last probe.
    pub(super) probed_at: usize,
    /// Blocks in its program.
    pub(super) asleep_in_job: bool,
    /// Its fund was lent.
    pub(super) lent: bool,
    pub(super) still: Still,
    pub(super) nap: Nap,
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
            record: Record::default(),
            felt: 0,
            waited: 0,
            waited_before: None,
            probed_at: 0,
            asleep_in_job: false,
            lent: false,
            still: Still::default(),
            nap: Nap::default(),
        }
    }

    /// What the worker has used up, as `itself` or somebody else sees it.
    pub(super) fn usage(&self, now: Nanos, itself: bool) -> Usage {
        let running = self.computing.map_or(0, |since| now - since);
        Usage { at: now, cpu: self.cpu + running, sleeps: itself.then_some(self.sleeps) }
    }

    /// What it has run since this was last asked.
    pub(super) fn stirred(&mut self, now: Nanos) -> Nanos {
        let cpu = self.usage(now, false).cpu;
        cpu - std::mem::replace(&mut self.felt, cpu)
    }

    /// As in a `Seat`.
    pub(super) fn starves(&self, now: Nanos) -> bool {
        self.usage(now, false).cpu - self.felt < STIR && !self.sleeps()
    }

    /// The same of one that took a probe which had `lain` so long.
    pub(super) fn is_late(&mut self, usage: Usage, lain: Nanos) -> bool {
        if lain < LATE {
            return false;
        }
        let before = self.waited_before.replace(self.waited);
        before.is_some_and(|before| self.record.is_late(usage, lain, self.waited - before))
    }

    /// Whether its thread sleeps, wherever that is.
    pub(super) fn sleeps(&self) -> bool {
        matches!(self.mode, Mode::Asleep | Mode::Gated) || self.asleep_in_job
    }

    /// The same, and where.
    pub(super) fn naps(&mut self, now: Nanos) -> Option<Option<Place>> {
        let cpu = self.usage(now, false).cpu;
        let place = Place { call: self.asleep_in_job.into(), depth: self.stack.len() as u64 };
        self.sleeps().then(|| {
            self.nap.look(cpu, Some(place));
            Some(place)
        })
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

impl World {
    /// The next step of a worker that goes on at once.
    pub(super) fn go_on(&mut self, pool: usize, worker: usize) {
        let pause = self.weather.hop(&mut self.dice);
        self.pools[pool].workers[worker].cpu += pause;
        self.on_a_core(pause, Event::Worker(pool, worker));
    }

    /// One step of a worker.
    pub(super) fn work(&mut self, pool: usize, worker: usize) {
        let me = &mut self.pools[pool].workers[worker];
        if let Some(since) = me.computing.take() {
            me.cpu += self.now - since;
        }
        if !matches!(me.stack.last(), Some(Frame::Away)) {
            me.asleep_in_job = false;
        }
        if me.mode == Mode::Unborn {
            me.mode = Mode::Running;
            return self.start(pool, worker);
        }
        match me.stack.last_mut() {
            None => {
                me.mode = Mode::Gone;
                if self.pools[pool].adopts && worker == 0 {
                    self.builder_is_done(pool);
                }
            }
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
            Some(&mut Frame::Spin(latch)) if self.latches[latch].is_set() => {
                me.stack.pop();
                self.go_on(pool, worker);
            }
            Some(Frame::Spin(_)) => self.yield_now(pool, worker),
            Some(Frame::Away) => self.come_back(pool, worker),
            Some(&mut Frame::Unlock(lock)) => self.unlock(pool, worker, lock),
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
            me.cpu += self.weather.look;
            let pause = self.weather.look + self.weather.hop(&mut self.dice);
            self.on_a_core(pause, Event::Worker(pool, worker));
        } else {
            me.mode = Mode::Asleep;
            me.sleeps += 1;
            self.pools[pool].asleep += 1;
        }
    }

    /// `yield_now`: one job of any kind, if there is one.
    fn yield_now(&mut self, pool: usize, worker: usize) {
        if let Some(job) = self.find_work(pool, worker) {
            return self.execute(pool, worker, job);
        }
        self.pools[pool].workers[worker].cpu += self.weather.look;
        let pause = self.weather.look + self.weather.hop(&mut self.dice);
        self.on_a_core(pause, Event::Worker(pool, worker));
    }

    pub(super) fn execute(&mut self, pool: usize, worker: usize, job: Job) {
        match job {
            Job::Probe => self.probe(pool, worker),
            Job::Summons => self.summon(pool, worker),
            Job::Piece(piece) => {
                let home = &mut self.pools[pool];
                let me = &mut home.workers[worker];
                let left = home.policy.ended() || home.policy.absences.has_gone(worker);
                assert!(me.funded || me.lent || left, "a parked worker runs a job");
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
                me.asleep_in_job = true;
                return self.after(time, Event::Worker(pool, worker));
            }
            Op::Away(time) => return self.go_away(pool, worker, time),
            Op::Locked(lock, code) => return self.lock(pool, worker, lock, code),
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
            Op::Call(same, code) if same == pool => {
                self.pools[pool].pieces += 1;
                self.unfinished += 1;
                let inner = Frame::Run(Piece::new(code, None), 0);
                self.pools[pool].workers[worker].stack.push(inner);
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
            Op::Back(to, parts) => {
                let latch = self.latch(parts.len(), Waiter::Worker(pool, worker));
                self.unfinished += parts.len();
                for part in parts {
                    let piece = Piece::new(part, Some(latch));
                    if to == pool {
                        self.push(pool, worker, piece);
                    } else {
                        self.inject_late(to, piece);
                    }
                }
                self.wait_for(pool, worker, latch);
            }
            Op::Yield => return self.yield_now(pool, worker),
            Op::YieldToken => return self.yield_token(pool, worker),
            Op::Await(code) => {
                self.unfinished += 1;
                let latch = self.latch(1, Waiter::Nobody);
                let piece = Piece { spawned: true, ..Piece::new(code, Some(latch)) };
                self.push(pool, worker, piece);
                self.pools[pool].workers[worker].stack.push(Frame::Spin(latch));
            }
            Op::Broadcast(code) => {
                let count = self.pools[pool].workers.len();
                self.unfinished += count;
                let latch = self.latch(count, Waiter::Worker(pool, worker));
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
}
