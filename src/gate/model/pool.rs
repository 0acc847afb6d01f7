//! One pool of a model: its governor as in `governor/mod.rs`, and rayon as far as it matters.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use loom::thread::{self, JoinHandle};

use super::ledger::{Fund, Ledger, POOL};
use crate::gate::Parker;
use crate::governor::policy::{Judged, Knobs, Nanos, Orders, Policy, Ran, Sighting, Verdict, Wake};
use crate::jobserver::{Demand, Market};
use crate::sync::modelled::{Condvar, Mutex, wait};

/// What lies in the injector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Probe,
    /// A job from outside; its call ends with it.
    Leaf,
    /// The same, but it puts a leaf into the injector and waits for it, as a worker does that was
    /// robbed of one half of its `join`.
    Join,
    /// What a join waits for.
    Half,
}

/// What the policy does again and again as time passes, it does once: repetitions multiply the
/// interleavings and bring no hand-off that was not there before.
fn knobs() -> Knobs {
    const NEVER: Nanos = 1_000_000_000;
    Knobs { backoff: (NEVER, NEVER), resweeps: 1, detect: None, lease: None, ..Knobs::default() }
}

struct State {
    policy: Policy,
    orders: Orders,
    purse: Vec<Fund>,
    demand: Demand,
    posts: usize,
    asleep: bool,
    now: Nanos,
}

#[derive(Default)]
struct Injector {
    jobs: VecDeque<Job>,
    /// Halves of joins that have been done and not been noticed.
    halves: usize,
    closed: bool,
}

/// One pool, its governor and its account.
pub(super) struct Pool {
    state: Mutex<State>,
    seats: Vec<Parker>,
    ledger: Arc<Ledger>,
    injector: Mutex<Injector>,
    posted: Condvar,
    /// What the governor's thread sleeps at.
    rung: Mutex<bool>,
    bell: Condvar,
    nudged: AtomicBool,
    /// Calls that have been answered.
    answers: Mutex<usize>,
    answered: Condvar,
    /// Workers that are free to run jobs. No part of the model: it only watches.
    running: AtomicUsize,
}

impl Pool {
    pub(super) fn new(workers: usize, ledger: &Arc<Ledger>) -> Arc<Self> {
        let pool = Arc::new(Pool {
            state: Mutex::new(State {
                policy: Policy::new(workers, false, knobs()),
                orders: Orders::default(),
                purse: Vec::new(),
                demand: Demand::default(),
                posts: 0,
                asleep: false,
                now: 0,
            }),
            seats: (0..workers).map(|_| Parker::new()).collect(),
            ledger: Arc::clone(ledger),
            injector: Mutex::new(Injector::default()),
            posted: Condvar::new(),
            rung: Mutex::new(false),
            bell: Condvar::new(),
            nudged: AtomicBool::new(false),
            answers: Mutex::new(0),
            answered: Condvar::new(),
            running: AtomicUsize::new(0),
        });
        assert!(ledger.pool.set(Arc::downgrade(&pool)).is_ok(), "one pool only");
        pool
    }

    /// Starts the workers and the governor's thread.
    pub(super) fn start(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        let worker = |index| {
            let pool = Arc::clone(self);
            thread::spawn(move || pool.work(index))
        };
        let mut threads: Vec<_> = (0..self.seats.len()).map(worker).collect();
        let pool = Arc::clone(self);
        threads.push(thread::spawn(move || pool.govern()));
        threads
    }

    // ----- as in `governor/mod.rs` -----

    pub(super) fn step<R>(&self, event: impl FnOnce(&mut Policy, Nanos, &mut Orders) -> R) -> R {
        let mut state = self.state.lock();
        let State { policy, orders, now, .. } = &mut *state;
        let outcome = event(policy, *now, orders);
        let (wake, give) = self.carry_out(&mut state);
        let ring = state.asleep
            && (state.posts > 0 || state.policy.deadline().is_some() || state.policy.ended());
        drop(state);
        self.follow_up(wake, give);
        if ring {
            self.ring();
        }
        outcome
    }

    fn ring(&self) {
        *self.rung.lock() = true;
        self.bell.notify_one();
    }

    pub(super) fn nudge(&self) {
        self.nudged.store(true, Ordering::Release);
        self.ring();
    }

    fn carry_out(&self, state: &mut State) -> (Vec<(usize, Wake)>, Vec<Fund>) {
        let State { policy, orders, purse, demand, posts, now, .. } = state;
        loop {
            let asked = std::mem::take(&mut orders.take);
            if asked.funds > 0 {
                let got: Vec<_> = (0..asked.funds).map_while(|_| self.ledger.try_take()).collect();
                policy.supplied(*now, asked, got.len(), orders);
                purse.extend(got);
                continue;
            }
            let wanted = policy.demand();
            if wanted != *demand {
                *demand = wanted;
                self.ledger.demand(POOL, wanted);
            }
            let granted = self.ledger.collect(POOL);
            if granted.is_empty() {
                break;
            }
            demand.funds = demand.funds.saturating_sub(granted.len());
            demand.starving = false;
            policy.granted(*now, granted.len(), orders);
            purse.extend(granted);
        }
        *posts += std::mem::take(&mut orders.posts);
        let kept = purse.len() - std::mem::take(&mut orders.give);
        let give = purse.split_off(kept);
        assert_eq!(purse.len(), policy.funds(), "the purse and the policy disagree");
        assert!(policy.admitted() <= policy.funds(), "more admitted than funded: {policy:?}");
        (std::mem::take(&mut orders.wake), give)
    }

    fn follow_up(&self, wake: Vec<(usize, Wake)>, give: Vec<Fund>) {
        for (worker, why) in wake {
            self.seats[worker].call(why);
        }
        give.into_iter().for_each(|fund| self.ledger.give(fund));
    }

    /// The governor's thread. It is where time passes.
    fn govern(&self) {
        loop {
            let mut state = self.state.lock();
            state.asleep = false;
            if state.policy.ended() {
                drop(state);
                self.injector.lock().closed = true;
                self.posted.notify_all();
                return;
            }
            let due = state.policy.deadline();
            if self.nudged.swap(false, Ordering::Acquire) || due.is_some() {
                state.now = due.map_or(state.now, |at| at.max(state.now));
                let State { policy, orders, now, .. } = &mut *state;
                policy.tick(*now, self.market(), Ran::No, orders);
            }
            let (wake, give) = self.carry_out(&mut state);
            let posts = std::mem::take(&mut state.posts);
            let sleeps = posts == 0 && state.policy.deadline().is_none();
            state.asleep = sleeps;
            drop(state);
            self.follow_up(wake, give);
            (0..posts).for_each(|_| self.inject(Job::Probe));
            if sleeps {
                let mut rung = self.rung.lock();
                while !*rung {
                    rung = wait(&self.bell, rung);
                }
                *rung = false;
            } else {
                // It sleeps until its deadline here, and the others go on.
                thread::yield_now();
            }
        }
    }

    fn park(&self, worker: usize) {
        loop {
            let wake = self.seats[worker].wait();
            if wake == Wake::Leave {
                return;
            }
            self.runs();
            let verdict = self.step(|policy, now, orders| match wake {
                Wake::Turn => {
                    let verdict = policy.turned(now, self.market(), worker, false, orders);
                    self.noted(verdict)
                }
                _ => {
                    policy.resumed(now);
                    Verdict::Stay
                }
            });
            if verdict == Verdict::Stay {
                return;
            }
        }
    }

    fn taken(&self, worker: usize, nested: bool) {
        let sighting =
            Sighting { worker, nested, moved: false, judged: Judged::Quiet, late: false };
        let verdict = self.step(|policy, now, orders| {
            let verdict = policy.taken(now, self.market(), sighting, orders);
            self.noted(verdict)
        });
        if verdict == Verdict::Park {
            self.park(worker);
        }
    }

    fn market(&self) -> Market {
        self.ledger.market()
    }

    /// Counts the current worker among those that run.
    fn runs(&self) {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        let most = usize::from(self.ledger.tokens) + 1;
        assert!(running <= most, "{running} run at once on {most} funds");
    }

    /// Counts a worker that parks out before anybody else learns that its fund is free.
    fn noted(&self, verdict: Verdict) -> Verdict {
        if verdict == Verdict::Park {
            self.running.fetch_sub(1, Ordering::Relaxed);
        }
        verdict
    }

    // ----- rayon -----

    fn inject(&self, job: Job) {
        self.injector.lock().jobs.push_back(job);
        self.posted.notify_one();
    }

    /// A worker's thread, from its start handler to the end of its pool.
    fn work(&self, index: usize) {
        match self.step(|policy, now, _| policy.started(now, index)) {
            Verdict::Stay => self.runs(),
            Verdict::Park => self.park(index),
        }
        while let Some(job) = self.find(|injector| injector.closed) {
            self.run(index, job, false);
        }
    }

    /// The next job, or `None` once `latch` is set.
    fn find(&self, mut latch: impl FnMut(&mut Injector) -> bool) -> Option<Job> {
        let mut injector = self.injector.lock();
        loop {
            if latch(&mut injector) {
                return None;
            }
            match injector.jobs.pop_front() {
                Some(job) => return Some(job),
                None => injector = wait(&self.posted, injector),
            }
        }
    }

    fn run(&self, worker: usize, job: Job, nested: bool) {
        match job {
            Job::Probe => self.taken(worker, nested),
            Job::Leaf => self.answer(),
            Job::Half => {
                self.injector.lock().halves += 1;
                self.posted.notify_all();
            }
            Job::Join => {
                self.inject(Job::Half);
                while let Some(job) = self.find(|injector| injector.halves > 0) {
                    self.run(worker, job, true);
                }
                self.answer();
            }
        }
    }

    // ----- callers -----

    /// As `spawn`: the call ends with the job.
    pub(super) fn spawn(&self, job: Job) {
        self.step(|policy, now, orders| policy.enter(now, orders));
        self.inject(job);
    }

    fn answer(&self) {
        *self.answers.lock() += 1;
        self.answered.notify_all();
        self.step(|policy, now, orders| policy.leave(now, orders));
    }

    pub(super) fn wait_for(&self, answers: usize) {
        let mut answered = self.answers.lock();
        while *answered < answers {
            answered = wait(&self.answered, answered);
        }
    }

    pub(super) fn drain(&self) {
        self.step(|policy, now, orders| policy.drain(now, orders));
    }
}
