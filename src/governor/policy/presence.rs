//! Where each worker is: parked or admitted, blocked in the program, or on its way back.

use std::collections::{BTreeMap, BTreeSet};

use super::Nanos;
use super::absence::SPAN;

/// Where a worker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Its thread has not come up, or is in the program's start handler.
    Unborn,
    /// Parked or admitted.
    Here,
    /// In a closure that it said would block.
    Away,
    /// Back from there, waiting for a fund.
    Back,
    /// In the midst of a job, for whose sake it need not go on at once: others may have its fund for a while.
    Yielding,
    /// Blocked without a word; its fund works for others.
    Lent,
    /// Was that, and runs although its fund is not back: an overcommit.
    Loose,
    /// A thread that was a worker beside its own work, once the pool was dropped: it may never come to a probe again.
    Gone,
}

impl Presence {
    /// Whether the pool goes on until the worker is back.
    pub(super) fn is_awaited(self) -> bool {
        !matches!(self, Presence::Unborn | Presence::Here | Presence::Gone)
    }

    /// Whether the worker is to be woken once there is a fund for it.
    fn is_woken(self) -> bool {
        matches!(self, Presence::Back | Presence::Yielding)
    }
}

/// The workers of one pool that block. Every question is answered in at most logarithmic time.
#[derive(Debug)]
pub(crate) struct Absences {
    presence: Vec<Presence>,
    /// How many are [unborn](Presence::Unborn), [awaited](Presence::is_awaited), [lent](Presence::Lent) and
    /// [yielding](Presence::Yielding).
    unborn: usize,
    awaited: usize,
    lent: usize,
    yielding: usize,
    /// Those who may run without a fund: `Lent` or `Loose`.
    astray: BTreeSet<usize>,
    /// Which of these are looked at next: from this number on.
    astray_from: usize,
    /// Those who are to be funded before anybody else, `Back`, `Yielding` or `Loose`, in the order in which
    /// they came, and since when.
    queue: BTreeMap<u64, (usize, Nanos)>,
    /// The places in the queue of those for whom others may be waiting: `Back`.
    waiting: BTreeSet<u64>,
    /// Each worker's latest place in the queue, and how many there have been.
    place: Vec<u64>,
    places: u64,
}

impl Absences {
    pub(crate) fn new(workers: usize) -> Self {
        Absences {
            presence: vec![Presence::Unborn; workers],
            unborn: workers,
            awaited: 0,
            lent: 0,
            yielding: 0,
            astray: BTreeSet::new(),
            astray_from: 0,
            queue: BTreeMap::new(),
            waiting: BTreeSet::new(),
            place: vec![0; workers],
            places: 0,
        }
    }

    /// A worker's thread comes up. Says whether that is news.
    pub(super) fn join(&mut self, worker: usize) -> bool {
        let news = self.presence[worker] == Presence::Unborn;
        if news {
            self.set(worker, Presence::Here);
        }
        news
    }

    pub(super) fn any_unborn(&self) -> bool {
        self.unborn > 0
    }

    pub(super) fn any(&self) -> bool {
        self.awaited > 0
    }

    pub(super) fn any_lent(&self) -> bool {
        self.lent > 0
    }

    /// Whether somebody may run without a fund.
    pub(super) fn any_astray(&self) -> bool {
        !self.astray.is_empty()
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many of those in the queue are there so that others can have their funds.
    pub(super) fn yielding(&self) -> usize {
        self.yielding
    }

    /// Whether a worker is here, and so either parked or admitted.
    pub(super) fn is_here(&self, worker: usize) -> bool {
        self.presence[worker] == Presence::Here
    }

    /// Whether a worker is none any more.
    pub(super) fn has_gone(&self, worker: usize) -> bool {
        self.presence[worker] == Presence::Gone
    }

    /// Where a worker is.
    pub(super) fn of(&self, worker: usize) -> Presence {
        self.presence[worker]
    }

    pub(super) fn set(&mut self, worker: usize, presence: Presence) -> Presence {
        let before = std::mem::replace(&mut self.presence[worker], presence);
        let count = |all: &mut usize, is: fn(Presence) -> bool| {
            *all = *all + usize::from(is(presence)) - usize::from(is(before));
        };
        count(&mut self.unborn, |it| it == Presence::Unborn);
        count(&mut self.awaited, Presence::is_awaited);
        count(&mut self.lent, |it| it == Presence::Lent);
        count(&mut self.yielding, |it| it == Presence::Yielding);
        if matches!(presence, Presence::Lent | Presence::Loose) {
            self.astray.insert(worker);
        } else {
            self.astray.remove(&worker);
        }
        if before == Presence::Loose {
            self.queue.remove(&self.place[worker]);
        }
        before
    }

    pub(super) fn enqueue(&mut self, now: Nanos, worker: usize, presence: Presence) {
        self.set(worker, presence);
        self.places += 1;
        self.place[worker] = self.places;
        self.queue.insert(self.places, (worker, now));
        if presence == Presence::Back {
            self.waiting.insert(self.places);
        }
    }

    /// The first who has come back and waits to be woken, and since when.
    pub(super) fn first_waiting(&self) -> Option<(usize, Nanos)> {
        self.waiting.first().map(|place| self.queue[place])
    }

    /// One who waits to be woken need not any more. It keeps its place in the queue.
    pub(super) fn loosen(&mut self, worker: usize) {
        self.waiting.remove(&self.place[worker]);
        self.set(worker, Presence::Loose);
    }

    /// The same of one that may wait to be woken. Says whether it does.
    pub(super) fn recall(&mut self, worker: usize) -> bool {
        let waits = self.presence[worker].is_woken();
        if waits {
            self.loosen(worker);
        }
        waits
    }

    /// The next of those who may run without a fund, each in its turn however few are looked at.
    pub(super) fn next_astray(&mut self) -> Vec<usize> {
        let from = self.astray_from;
        let ahead = self.astray.range(from..).chain(self.astray.range(..from));
        let next: Vec<_> = ahead.take(SPAN).copied().collect();
        self.astray_from = next.last().map_or(0, |last| last + 1);
        next
    }

    /// The next to be funded, and whether it waits to be woken.
    pub(super) fn pop(&mut self) -> Option<(usize, bool)> {
        let (place, (worker, _)) = self.queue.pop_first()?;
        self.waiting.remove(&place);
        let before = self.set(worker, Presence::Here);
        Some((worker, before.is_woken()))
    }

    /// Empties the queue, and returns those who wait to be woken.
    pub(super) fn dismiss(&mut self) -> Vec<usize> {
        std::iter::from_fn(|| self.pop()).filter(|&(_, waits)| waits).map(|(it, _)| it).collect()
    }
}
