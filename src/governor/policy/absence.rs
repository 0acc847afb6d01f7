//! Workers without a fund that are not parked: they block in the program, or come back from that, or have not begun.

use super::presence::Presence;
use super::{Nanos, Orders, Phase, Policy, Stillness, Verdict, Wake};

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
        if self.ended || !self.absences.of(worker).is_awaited() {
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
            match self.absences.of(worker) {
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
        matches!(self.absences.of(worker), Presence::Lent | Presence::Loose)
    }
}
