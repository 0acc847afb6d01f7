//! Workers without a fund that are not parked: they block in the program, or come back from that, or have not begun.

use std::collections::{BTreeMap, BTreeSet};

use super::{Nanos, Orders, Phase, Policy, Stillness, Verdict, Wake};

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
    fn is_awaited(self) -> bool {
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

    fn enqueue(&mut self, now: Nanos, worker: usize, presence: Presence) {
        self.set(worker, presence);
        self.places += 1;
        self.place[worker] = self.places;
        self.queue.insert(self.places, (worker, now));
        if presence == Presence::Back {
            self.waiting.insert(self.places);
        }
    }

    /// The first who has come back and waits to be woken, and since when.
    fn first_waiting(&self) -> Option<(usize, Nanos)> {
        self.waiting.first().map(|place| self.queue[place])
    }

    /// One who waits to be woken need not any more. It keeps its place in the queue.
    fn loosen(&mut self, worker: usize) {
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
    fn next_astray(&mut self) -> Vec<usize> {
        let from = self.astray_from;
        let ahead = self.astray.range(from..).chain(self.astray.range(..from));
        let next: Vec<_> = ahead.take(SPAN).copied().collect();
        self.astray_from = next.last().map_or(0, |last| last + 1);
        next
    }

    /// The next to be funded, and whether it waits to be woken.
    fn pop(&mut self) -> Option<(usize, bool)> {
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

/// How many workers are looked at one after another at most, of each kind.
pub(super) const SPAN: usize = 64;

/// When and where it is looked whether busy workers block.
#[derive(Debug, Default)]
pub(super) struct Inspections {
    at: Nanos,
    /// The pause before that.
    pause: Nanos,
    /// Which worker is the first.
    from: usize,
}

impl Inspections {
    /// So much sooner than planned a look may come that costs no wake-up of its own.
    pub(super) fn leeway(&self) -> Nanos {
        self.pause / 4
    }
}

impl Policy {
    /// A worker is about to block in the program.
    pub(crate) fn blocked(&mut self, now: Nanos, worker: usize, out: &mut Orders) {
        if self.ended || self.absences.has_gone(worker) {
            return;
        }
        self.tally.absences += 1;
        self.end_turn_of(now, worker);
        if self.absences.set(worker, Presence::Away) == Presence::Here {
            self.roster.step(worker);
            self.free(now, out);
        }
    }

    /// The same within another closure of that kind, in which the worker may have come to wait for jobs, and have got a
    /// fund for those it runs meanwhile. Says whether it has.
    pub(crate) fn blocked_again(&mut self, now: Nanos, worker: usize, out: &mut Orders) -> bool {
        let funded = self.absences.is_here(worker);
        if funded {
            self.blocked(now, worker, out);
        }
        funded
    }

    /// It has done so: it goes on as soon as there is a fund for it, before anybody else.
    pub(crate) fn unblocked(&mut self, now: Nanos, worker: usize, out: &mut Orders) -> Verdict {
        // One that waited for jobs meanwhile has got a fund since.
        if self.ended || !self.absences.presence[worker].is_awaited() {
            return Verdict::Stay;
        }
        self.absences.enqueue(now, worker, Presence::Back);
        out.take.funds += 1;
        self.pressing |= self.admitted == 0;
        self.call_idle(now, out);
        Verdict::Park
    }

    /// A worker without a fund took a probe: it has come back from what it blocked in and is idle,
    /// or waits for jobs where it said it would only block, or in a start handler. Says whether that is so.
    pub(super) fn strays(
        &mut self,
        now: Nanos,
        worker: usize,
        nested: bool,
        out: &mut Orders,
    ) -> bool {
        let stray = !self.absences.is_here(worker);
        if stray {
            let before = self.absences.set(worker, Presence::Here);
            if before != Presence::Loose {
                self.tally.overcommits += 1;
            }
            self.roster.step(worker);
            self.park(now, worker, nested || before == Presence::Unborn);
            self.sweep_once_more(now);
            // What is kept for a thread that comes up is for one in its start handler, too.
            self.admit_all_funded(now, out);
            if self.phase == Phase::Dormant {
                self.call_lent(now, out);
                self.end_if_over(out);
            } else {
                self.post(now, 1, out);
            }
        }
        stray
    }

    /// What the funded workers and the lent ones do, as the system says. `still` is the answer
    /// for one worker. Of more than [`SPAN`] each look takes the next ones.
    pub(crate) fn inspect(
        &mut self,
        now: Nanos,
        mut still: impl FnMut(usize) -> Stillness,
        out: &mut Orders,
    ) {
        let Some(detect) = self.knobs.detect else { return };
        let (busy, first, from) = (self.all_busy(), detect / 2, self.inspections.from);
        let mut pause = (self.inspections.pause * 2).clamp(first, 10 * detect);
        let (mut blocked, mut starved) = (Vec::new(), false);
        for worker in self.roster.outsiders(from, if busy { SPAN } else { 0 }) {
            self.inspections.from = worker + 1;
            let stillness = still(worker);
            if stillness != Stillness::Runs {
                pause = first;
            }
            starved |= stillness == Stillness::Starves;
            if stillness == Stillness::Blocked {
                blocked.push(worker);
            }
        }
        for worker in self.absences.next_astray() {
            match self.absences.presence[worker] {
                Presence::Lent => {
                    if matches!(still(worker), Stillness::Runs | Stillness::Dozes) {
                        self.tally.overcommits += 1;
                        self.absences.enqueue(now, worker, Presence::Loose);
                        out.take.funds += 1;
                        self.call_idle(now, out);
                    }
                }
                // It blocks once more, and needs no fund meanwhile.
                Presence::Loose if busy && still(worker) == Stillness::Blocked => {
                    self.tally.lendings += 1;
                    self.absences.set(worker, Presence::Lent);
                }
                Presence::Unborn
                | Presence::Here
                | Presence::Away
                | Presence::Back
                | Presence::Yielding
                | Presence::Loose
                | Presence::Gone => {}
            }
        }
        // One that waits for a core may be idle, and about to take the probe: rayon wakes no other
        // for that, and those that sleep may be idle, too.
        if !starved {
            blocked.into_iter().for_each(|worker| self.lend(now, worker, out));
        }
        self.inspections.pause = pause;
        self.inspections.at = now + pause;
    }

    /// What funds a worker that blocks goes to others, if it is of use to any.
    fn lend(&mut self, now: Nanos, worker: usize, out: &mut Orders) {
        if self.lends() {
            self.tally.lendings += 1;
            self.end_turn_of(now, worker);
            self.absences.set(worker, Presence::Lent);
            self.roster.step(worker);
            self.free(now, out);
        }
    }

    /// A worker in the midst of a job leaves its fund to others, until there is one for it.
    pub(super) fn step_back(&mut self, now: Nanos, worker: usize, out: &mut Orders) {
        self.absences.enqueue(now, worker, Presence::Yielding);
        self.roster.step(worker);
        // Whoever polls for what its job does has to come to a probe.
        self.call_idle(now, out);
    }

    /// How many funds those are to have who wait for one in the midst of a job, unless it is others' turn.
    pub(super) fn claims(&self) -> usize {
        let others = self.lease.is_leaving() || self.lease.is_offering();
        self.absences.queued() - if others { self.absences.yielding() } else { 0 }
    }

    /// Whether a fund would be of use to anybody but the admitted.
    fn lends(&self) -> bool {
        self.roster.len() > 0 || self.absences.queued() > 0 || self.rival
    }

    /// When the workers are to be looked at for whether they block.
    pub(super) fn inspection(&self) -> Option<Nanos> {
        let looks = (self.all_busy() && self.lends()) || self.absences.any_lent();
        (looks && self.knobs.detect.is_some()).then_some(self.inspections.at)
    }

    /// When somebody who has come back has waited long enough where nobody can see the others
    /// block: they may wait for what it holds.
    pub(super) fn overdue(&self) -> Option<Nanos> {
        let blind = self.knobs.detect.is_none();
        let (_, since) = self.absences.first_waiting().filter(|_| blind)?;
        Some(since + self.knobs.forbearance)
    }

    /// Lets everybody go on unfunded who is overdue.
    pub(super) fn let_loose(&mut self, now: Nanos, out: &mut Orders) {
        while self.overdue().is_some_and(|at| at <= now)
            && let Some((worker, _)) = self.absences.first_waiting()
        {
            self.absences.loosen(worker);
            self.tally.overcommits += 1;
            self.tally.loosened += 1;
            out.wake.push((worker, Wake::Loose));
        }
    }

    /// Funds whoever has come back, as far as there are funds.
    pub(super) fn fund_returned(&mut self, now: Nanos, out: &mut Orders) {
        while self.funds > self.admitted
            && let Some(next) = self.absences.pop()
        {
            self.admit(now);
            self.probe_first(now);
            self.welcome(now, next, out);
        }
    }

    /// The fund of a worker that has just parked goes to whoever came back first. Says whether
    /// there was one.
    pub(super) fn hand_to_returned(&mut self, now: Nanos, out: &mut Orders) -> bool {
        let Some(next) = self.absences.pop() else { return false };
        self.tally.handovers += 1;
        self.welcome(now, next, out);
        self.call_idle(now, out);
        true
    }

    fn welcome(&mut self, now: Nanos, (worker, waits): (usize, bool), out: &mut Orders) {
        self.roster.step(worker);
        self.sweep_once_more(now);
        if waits {
            self.waking += 1;
            out.wake.push((worker, Wake::Work));
        }
    }

    /// The fund of an admitted worker that is one no more goes where it is of use, else back.
    pub(super) fn free(&mut self, now: Nanos, out: &mut Orders) {
        if self.hand_to_returned(now, out) {
            return;
        }
        // As long as another one is idle, no parked worker has anything to do.
        let idle = self.phase == Phase::Slack && self.tried && self.admitted > 1;
        match if idle || self.rival { None } else { self.roster.take_best() } {
            Some(next) => self.hand_over(now, next, out),
            None => {
                self.retire(now, out);
                self.made_way = false;
                if idle {
                    self.probe_by(now + self.knobs.look.0);
                }
            }
        }
    }

    /// Makes sure that those who were seen to block say so when they are idle: nobody is left who would call
    /// them, and they go on without a word.
    pub(super) fn call_lent(&mut self, now: Nanos, out: &mut Orders) {
        if self.absences.any_lent() && self.probes == 0 {
            self.probes = 1;
            self.tally.probes += 1;
            self.last_post = now;
            out.posts += 1;
        }
    }

    /// Makes sure that whoever is idle says so.
    pub(super) fn call_idle(&mut self, now: Nanos, out: &mut Orders) {
        if self.phase != Phase::Dormant && self.probes == 0 {
            self.post(now, 1, out);
        }
    }

    /// Whether no admitted worker is idle: an idle one sleeps as one does that blocks.
    fn all_busy(&self) -> bool {
        matches!(self.phase, Phase::Saturated { .. })
    }

    /// Whether a worker that is here is admitted.
    #[cfg(test)]
    pub(super) fn runs(&self, worker: usize) -> bool {
        self.roster.is_outside(worker)
    }

    /// Whether some worker blocks, may run without a fund or waits for one.
    #[cfg(test)]
    pub(super) fn strayed(&self) -> bool {
        self.absences.any()
    }

    /// Whether a worker may run without a fund.
    #[cfg(test)]
    pub(super) fn is_astray(&self, worker: usize) -> bool {
        matches!(self.absences.presence[worker], Presence::Lent | Presence::Loose)
    }
}
