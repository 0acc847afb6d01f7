//! Who is parked, and who is next.

use std::collections::{BTreeMap, BTreeSet};

use super::Nanos;

/// The parked workers of one pool.
///
/// A worker is in at most one of the two queues; one that is in neither is admitted or has not
/// started. All queues answer in at most logarithmic time.
#[derive(Debug)]
pub(crate) struct Roster {
    /// Parked outside any wait of their own, by when they parked, the longest ago first. `turn` never
    /// decreases from front to back, so the workers that still wait for a turn are always in front.
    cold: BTreeMap<u64, Cold>,
    /// The same by when they last worked. A turn is no work: workers that went on where they last ran
    /// find their caches, and presumably a core each, while those that only had a turn since may all
    /// have had it on the same core, where the kernel wakes them again.
    warmth: BTreeSet<(u64, usize)>,
    /// Counts whoever parks.
    parked: u64,
    /// When each worker parked, and when it was last let work: both by that count.
    parked_at: Vec<u64>,
    worked_at: Vec<u64>,
    /// Parked within a wait of their own, by the instant of their next look.
    nested: BTreeSet<(Nanos, usize)>,
    /// The same by what progress they have seen, and who parked later.
    behind: BTreeSet<(u64, u64, usize)>,
    /// Counts whenever somebody may have ended what another one waits for.
    progress: u64,
    /// When each nested worker looks next, and what progress it has seen.
    looks: Vec<(Nanos, u64)>,
    /// Since when each worker has been waiting without progress, over all its looks.
    waits: Vec<Option<Nanos>>,
    recheck: (Nanos, Nanos),
    /// The workers that have started, are not parked and have not gone to block.
    outside: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Cold {
    worker: usize,
    /// The activity epoch at which the worker last saw its queues empty.
    turn: u64,
}

impl Roster {
    pub(crate) fn new(workers: usize, recheck: (Nanos, Nanos)) -> Self {
        Roster {
            cold: BTreeMap::new(),
            warmth: BTreeSet::new(),
            parked: 0,
            parked_at: vec![0; workers],
            worked_at: vec![0; workers],
            nested: BTreeSet::new(),
            behind: BTreeSet::new(),
            progress: 0,
            looks: vec![(0, 0); workers],
            waits: vec![None; workers],
            recheck,
            outside: BTreeSet::new(),
        }
    }

    /// A worker that has started, or goes on, joins those who are not parked; one of them leaves them, to block in the
    /// program.
    pub(crate) fn step(&mut self, worker: usize) {
        if !self.outside.remove(&worker) {
            self.outside.insert(worker);
        }
    }

    /// Whether a worker has started, is not parked and has not gone to block.
    pub(crate) fn is_outside(&self, worker: usize) -> bool {
        self.outside.contains(&worker)
    }

    /// Up to `most` of those, from this number on and then from the first.
    pub(crate) fn outsiders(&self, from: usize, most: usize) -> impl Iterator<Item = usize> {
        self.outside.range(from..).chain(self.outside.range(..from)).take(most).copied()
    }

    /// Number of parked workers.
    pub(crate) fn len(&self) -> usize {
        self.cold.len() + self.nested.len()
    }

    /// Whether some parked worker waits for a latch of its own.
    pub(crate) fn any_nested(&self) -> bool {
        !self.nested.is_empty()
    }

    /// When the next nested worker is to look at its latch.
    pub(crate) fn next_look(&self) -> Option<Nanos> {
        self.nested.first().map(|&(at, _)| at)
    }

    /// Whether a parked worker has not seen its queues since `epoch` began.
    pub(crate) fn any_stale(&self, epoch: u64) -> bool {
        self.cold.values().next().is_some_and(|cold| cold.turn < epoch)
    }

    pub(crate) fn park_cold(&mut self, worker: usize, turn: u64) {
        debug_assert!(self.cold.values().next_back().is_none_or(|back| back.turn <= turn));
        self.waits[worker] = None;
        self.step(worker);
        self.parked += 1;
        self.parked_at[worker] = self.parked;
        self.cold.insert(self.parked, Cold { worker, turn });
        self.warmth.insert((self.worked_at[worker], worker));
    }

    /// Parks a worker that waits for a latch, and has just looked at it; the longer it has waited, the later its
    /// next look.
    pub(crate) fn park_nested(&mut self, worker: usize, now: Nanos) {
        let since = *self.waits[worker].get_or_insert(now);
        let (least, most) = self.recheck;
        // However many wait, all their looks together must not become the main occupation.
        let least = least * (self.nested.len() as Nanos + 1);
        let pause = ((now - since) / 8).clamp(least, most.max(least));
        self.step(worker);
        self.parked += 1;
        self.parked_at[worker] = self.parked;
        self.looks[worker] = (now + pause, self.progress);
        self.nested.insert((now + pause, worker));
        self.behind.insert((self.progress, self.parked, worker));
    }

    /// Notes that a worker has run jobs since it last waited.
    pub(crate) fn progressed(&mut self, worker: usize) {
        self.waits[worker] = None;
    }

    /// Somebody may have ended what a nested worker waits for: all are to look.
    pub(crate) fn stir(&mut self) {
        self.progress += 1;
    }

    /// The nested worker that is to look first: of those that have not looked since somebody [stirred](Self::stir)
    /// the one that was parked last, since waits end from the innermost out, else one that is due at `now`. Before
    /// all others one that should have looked long ago: those parked later must not keep it for ever.
    pub(crate) fn take_nested(&mut self, now: Nanos) -> Option<usize> {
        let &(at, due) = self.nested.first()?;
        let overdue = (at + self.recheck.1 <= now).then_some(due);
        let behind = || self.behind.range(..(self.progress, 0, 0)).next_back();
        let worker = overdue
            .or_else(|| behind().map(|&(.., worker)| worker))
            .or_else(|| (at <= now).then_some(due));
        worker.map(|worker| self.take(worker))
    }

    /// The nested worker that is to look first, due or not.
    pub(crate) fn take_any_nested(&mut self) -> Option<usize> {
        let &(_, worker) = self.nested.first()?;
        Some(self.take(worker))
    }

    fn take(&mut self, nested: usize) -> usize {
        let (at, seen) = self.looks[nested];
        self.nested.remove(&(at, nested));
        self.behind.remove(&(seen, self.parked_at[nested], nested));
        self.step(nested);
        nested
    }

    /// The longest-parked worker, if it has not seen its queues since `epoch` began.
    pub(crate) fn take_stale(&mut self, epoch: u64) -> Option<usize> {
        if self.any_stale(epoch) { self.take_oldest() } else { None }
    }

    /// The longest-parked cold worker, for a turn.
    pub(crate) fn take_oldest(&mut self) -> Option<usize> {
        let (_, Cold { worker, .. }) = self.cold.pop_first()?;
        self.warmth.remove(&(self.worked_at[worker], worker));
        self.step(worker);
        Some(worker)
    }

    /// The cold worker that worked last, if that was later than `worker` did.
    pub(crate) fn take_warmer(&mut self, worker: usize) -> Option<usize> {
        let &(worked_at, _) = self.warmth.last()?;
        if worked_at > self.worked_at[worker] { self.take_warmest() } else { None }
    }

    fn take_warmest(&mut self) -> Option<usize> {
        let (_, worker) = self.warmth.pop_last()?;
        self.cold.remove(&self.parked_at[worker]);
        self.worked_at[worker] = self.parked;
        self.step(worker);
        Some(worker)
    }

    /// The worker to admit for new work: a continuation first, else the one that worked last, whose
    /// caches are warmest.
    pub(crate) fn take_best(&mut self) -> Option<usize> {
        self.take_any_nested().or_else(|| self.take_warmest())
    }

    /// Takes this very worker, if it is parked, and says whether it was.
    pub(crate) fn take_this(&mut self, worker: usize) -> bool {
        if self.nested.contains(&(self.looks[worker].0, worker)) {
            self.take(worker);
            return true;
        }
        let parked = self.cold.remove(&self.parked_at[worker]).is_some();
        if parked {
            self.warmth.remove(&(self.worked_at[worker], worker));
            self.step(worker);
        }
        parked
    }

    /// Empties the roster.
    pub(crate) fn take_all(&mut self) -> Vec<usize> {
        let nested = std::mem::take(&mut self.nested);
        self.behind.clear();
        self.warmth.clear();
        std::mem::take(&mut self.cold)
            .into_values()
            .map(|cold| cold.worker)
            .chain(nested.into_iter().map(|(_, worker)| worker))
            .collect()
    }
}
