//! Virtual time and everything in it: what happens next, and to whom.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::Nanos;
use super::blocking::Lock;
use super::caller::Caller;
use super::dice::{Dice, Weather};
use super::hints::Hints;
use super::jobserver::{Fund, Jobserver, Process, Reader, Stranger};
use super::laws::Laws;
use super::machine::{Latch, Pool};
use super::worker::Worker;
use crate::governor::policy::{Knobs, Pace};

/// A thread gets to run, or something reaches it.
#[derive(Debug)]
pub(super) enum Event {
    /// A worker of a pool does its next step.
    Worker(usize, usize),
    /// A governor's thread, unless it was called for another time since.
    Governor(usize, u64),
    /// A pool is told that something lies in its inbox.
    Granted(usize),
    /// A fund on its way back to a ledger.
    Give(usize, Fund),
    Broker(usize),
    /// A reader that was woken tries again.
    Read(Reader),
    Caller(usize),
    Stranger(usize),
}

#[derive(Debug)]
struct Entry {
    at: Nanos,
    /// Events of the same time come in random order.
    lot: u64,
    event: Event,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.lot).cmp(&(other.at, other.lot))
    }
}

/// One jobserver and all its clients.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Nanos,
    events: BinaryHeap<Reverse<Entry>>,
    pub(super) dice: Dice,
    pub(super) weather: Weather,
    pub(super) tokens: usize,
    pub(super) jobserver: Jobserver,
    pub(super) processes: Vec<Process>,
    pub(super) pools: Vec<Pool>,
    pub(super) callers: Vec<Caller>,
    pub(super) strangers: Vec<Stranger>,
    pub(super) latches: Vec<Latch>,
    pub(super) locks: Vec<Lock>,
    /// How long a worker must sleep to count as blocked.
    pub(super) detect: Option<Nanos>,
    pub(super) lease: Option<Pace>,
    /// Copies of a job that share one call from outside, by the call.
    pub(super) visits: Vec<usize>,
    /// Whether each broadcast has been announced.
    pub(super) announcements: Vec<bool>,
    pub(super) hints: Hints,
    /// Whether the system tells what a thread has run.
    pub(super) tells: bool,
    /// Whether a governor's timer can be set anew while its thread sleeps.
    pub(super) timers: bool,
    /// Jobs and callers that are not done.
    pub(super) unfinished: usize,
    pub(super) laws: Laws,
    /// Tell every event.
    pub(super) traced: bool,
}

impl World {
    pub(super) fn new(seed: u64, tokens: usize, weather: Weather) -> Self {
        World {
            now: 0,
            events: BinaryHeap::new(),
            dice: Dice::new(seed),
            weather,
            tokens,
            jobserver: Jobserver::new(tokens),
            processes: Vec::new(),
            pools: Vec::new(),
            callers: Vec::new(),
            strangers: Vec::new(),
            latches: Vec::new(),
            locks: Vec::new(),
            detect: Knobs::default().detect,
            lease: Knobs::default().lease,
            visits: Vec::new(),
            announcements: Vec::new(),
            hints: Hints::Right,
            tells: true,
            timers: true,
            unfinished: 0,
            laws: Laws::default(),
            traced: std::env::var_os("SIMULATION_TRACE").is_some(),
        }
    }

    pub(super) fn process(&mut self, local: bool) -> usize {
        self.processes.push(Process::new(local));
        self.processes.len() - 1
    }

    /// Builds a pool: its workers start one by one, its governor when all are on their way.
    pub(super) fn pool(&mut self, process: usize, workers: usize, anchored: bool) -> usize {
        let pool = self.set_up(process, workers, (anchored, false));
        if anchored {
            self.anchor(pool);
        }
        (0..workers).for_each(|worker| self.wake_at(Event::Worker(pool, worker)));
        self.ring(pool);
        pool
    }

    /// The same with the current thread, which goes on with its program, as worker 0. It uses the pool
    /// as long as that takes.
    pub(super) fn adopting(&mut self, process: usize, workers: usize) -> usize {
        let pool = self.set_up(process, workers, (false, true));
        self.anchor(pool);
        self.adopt(pool);
        (1..workers).for_each(|worker| self.wake_at(Event::Worker(pool, worker)));
        self.ring(pool);
        pool
    }

    fn set_up(&mut self, process: usize, workers: usize, kind: (bool, bool)) -> usize {
        let pool = self.pools.len();
        let account = self.processes[process].open(pool);
        let terminate = self.latch(1, super::machine::Waiter::Nobody);
        let workers = (0..workers).map(|_| Worker::new(terminate)).collect();
        let knobs = Knobs { detect: self.detect, lease: self.lease, ..Knobs::default() };
        self.pools.push(Pool::new(process, account, terminate, workers, kind, knobs));
        pool
    }

    /// Lets somebody else take tokens, and says how long that takes if there is always one.
    pub(super) fn stranger(&mut self, rounds: usize, pause: Nanos, keep: Nanos) -> Nanos {
        self.strangers.push(Stranger { rounds, pause, keep, held: None });
        self.after(pause, Event::Stranger(self.strangers.len() - 1));
        rounds as u64 * (pause + keep)
    }

    pub(super) fn at(&mut self, at: Nanos, event: Event) {
        let lot = self.dice.next();
        self.events.push(Reverse(Entry { at: at.max(self.now), lot, event }));
    }

    pub(super) fn after(&mut self, pause: Nanos, event: Event) {
        self.at(self.now + pause, event);
    }

    /// The next step of a thread that is running.
    pub(super) fn hop_to(&mut self, event: Event) {
        let pause = self.weather.hop(&mut self.dice);
        self.on_a_core(pause, event);
    }

    /// The first step of a thread that is being woken.
    pub(super) fn wake_at(&mut self, event: Event) {
        let pause = self.weather.wake(&mut self.dice);
        self.on_a_core(pause, event);
    }

    /// The same for a step that comes so long after its thread has a core, if it waits for none.
    pub(super) fn on_a_core(&mut self, pause: Nanos, event: Event) {
        let stall = self.weather.stall(&mut self.dice);
        if let Event::Worker(pool, worker) = event {
            self.pools[pool].workers[worker].waited += stall;
        }
        self.after(pause + stall, event);
    }

    /// Lets the next thing happen, unless it would be later than `until`. `false`: it would.
    pub(super) fn step(&mut self, until: Nanos) -> bool {
        if self.events.peek().is_none_or(|Reverse(entry)| entry.at > until) {
            return false;
        }
        let Some(Reverse(Entry { at, event, .. })) = self.events.pop() else { return false };
        self.now = at;
        match event {
            Event::Worker(pool, worker) => self.work(pool, worker),
            Event::Governor(pool, ring) => self.govern(pool, ring),
            Event::Granted(pool) => self.granted(pool),
            Event::Give(process, fund) => self.give(process, fund),
            Event::Broker(process) => self.broker(process),
            Event::Read(reader) => self.read(reader),
            Event::Caller(caller) => self.call(caller),
            Event::Stranger(stranger) => self.stranger_step(stranger),
        }
        self.follow_loans();
        self.check();
        true
    }

    /// Lets everything happen up to `until`.
    pub(super) fn run_until(&mut self, until: Nanos) {
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    /// Funds that are on their way back, by the process they belong to.
    pub(super) fn in_transit(&self) -> impl Iterator<Item = (usize, &Fund)> {
        self.events.iter().filter_map(|Reverse(entry)| match &entry.event {
            Event::Give(process, fund) => Some((*process, fund)),
            _ => None,
        })
    }
}
