//! What the pool wants of the ledger, and what becomes of what it gets.

use super::{Nanos, Orders, Phase, Policy, Take};
use crate::jobserver::Demand;

impl Policy {
    /// Of the funds that an order was to [take](Orders::take) `got` have come, if any.
    pub(crate) fn supplied(&mut self, now: Nanos, asked: Take, got: usize, out: &mut Orders) {
        self.funds += got;
        if self.admitted > 0 {
            let on_trial = matches!(self.phase, Phase::Saturated { .. });
            self.release.fetched(got > 0, on_trial);
        } else {
            self.release.taken_anew(got);
        }
        if self.fund_the_first(now, out) {
            return;
        }
        if got == 0 {
            self.release.missed(self.funds);
        }
        if asked.exploring && got == 0 {
            // Of a budget that the pool does not share nothing else tells that there is none.
            self.growth.ask(1);
        } else if asked.exploring {
            self.explore(now, out);
        }
        if matches!(self.phase, Phase::Saturated { .. }) {
            let added = self.add_funded(now, out);
            if added == 0 && got < asked.funds && self.roster.len() > 0 {
                self.growth.ask(self.growth.step().min(self.roster.len()));
            }
        } else if asked.resuming {
            self.resume_with(now, out);
        }
        self.give_surplus(now, out);
    }

    /// The ledger has granted `got` funds of what the pool [wants](Self::demand).
    pub(crate) fn granted(&mut self, now: Nanos, got: usize, out: &mut Orders) {
        self.funds += got;
        if self.fund_the_first(now, out) {
            return;
        }
        if matches!(self.phase, Phase::Saturated { .. }) || self.arriving() {
            self.add_funded(now, out);
        } else if self.growth.asked() > 0 && self.lively && self.growth.explores(now) {
            // It has wanted them for a while, but is not saturated just now.
            self.explore(now, out);
        }
        self.give_surplus(now, out);
    }

    /// Funds have come: they are first of all for those that came back from blocking, and then for a pool in which
    /// nobody is admitted. Says whether they are kept for a thread that has yet to come up.
    fn fund_the_first(&mut self, now: Nanos, out: &mut Orders) -> bool {
        self.fund_returned(now, out);
        if self.funds == 0 || self.admitted > 0 || self.floor() == 0 || self.ended {
            return false;
        }
        match self.roster.take_best() {
            Some(worker) => self.wake(now, worker, out),
            // No thread has come up yet: the first that does finds the fund.
            None if self.absences.any_unborn() => {
                out.give += self.funds - 1;
                self.funds = 1;
                self.press_at = now + self.knobs.look.1;
                return true;
            }
            // Everybody blocks.
            None => {}
        }
        false
    }

    /// Tries one more worker in a pool that is not saturated.
    fn explore(&mut self, now: Nanos, out: &mut Orders) {
        if self.funds > self.admitted
            && let Some(worker) = self.roster.take_best()
        {
            self.wake(now, worker, out);
            self.growth.withdraw();
            if self.phase == Phase::Slack {
                // There are two at least to look at, where there may have been but one.
                self.listen_later(now);
            }
        }
    }

    /// Adds workers to a saturated pool, on trial, and says how many.
    fn add_funded(&mut self, now: Nanos, out: &mut Orders) -> usize {
        let lulled = self.growth.is_lulled();
        let added =
            if lulled { self.try_in_lull(now, out) } else { self.admit_all_funded(now, out) };
        if added > 0 {
            self.growth.started(added);
            if lulled && !self.adopted {
                // Whoever finds nothing takes the one that lies there, and leaves the pool as it was. The thread
                // that built the pool takes none as long as it does without the pool, and would pass for busy.
                self.post(now, 1, out);
            } else {
                self.phase = Phase::Listening { since: now };
            }
        }
        added
    }

    /// What nobody runs on goes back.
    fn give_surplus(&mut self, now: Nanos, out: &mut Orders) {
        let surplus = self.funds - self.admitted;
        if surplus > 0 {
            // Else the same token would come again at once, as long as the pool is not saturated.
            self.withdraw(now);
            self.funds -= surplus;
            out.give += surplus;
        }
        self.lease.funds_changed(now, self.funds);
    }

    /// Admits workers for work that is like what the pool last did.
    fn resume_with(&mut self, now: Nanos, out: &mut Orders) {
        let added = self.admit_all_funded(now, out);
        if added > 0 {
            self.growth.recalled(added);
            // They come up, and find work as it is split: only then is it known whether all do.
            self.looks.probe_at = Some(now + self.knobs.look.0);
        }
    }

    /// Admits as many workers as there are funds for, and says how many those are.
    pub(super) fn admit_all_funded(&mut self, now: Nanos, out: &mut Orders) -> usize {
        let before = self.admitted;
        while self.funds > self.admitted
            && let Some(worker) = self.roster.take_best()
        {
            self.wake(now, worker, out);
        }
        self.admitted - before
    }

    /// The same where nobody has been of use for long. Whoever has waited longest looks at its own queues first, where
    /// its part of a broadcast that nobody announced may lie: no sweep comes before somebody is idle. But every other
    /// time those come first that wait for a latch.
    fn try_in_lull(&mut self, now: Nanos, out: &mut Orders) -> usize {
        let before = self.admitted;
        if self.funds > self.admitted
            && self.sweep.in_turn.is_none()
            && self.growth.begins_with_turn()
            && let Some(worker) = self.roster.take_oldest()
        {
            self.admit(now);
            self.turn_alone(now, worker, out);
        }
        self.admitted - before + self.admit_all_funded(now, out)
    }

    /// Whether tokens that a saturated pool wants have begun to come, and nobody has proved idle since.
    fn arriving(&self) -> bool {
        let listens = matches!(self.phase, Phase::Listening { .. });
        listens && self.growth.is_on_trial() && self.growth.asked() > 0
    }

    /// What the pool would take, were it offered.
    pub(crate) fn demand(&self) -> Demand {
        let (funds, starving) = if self.ended {
            (0, false)
        } else if self.starves() && (self.pressing || !self.forgone.is_out()) {
            (self.absences.queued().max(1), self.pressing)
        } else {
            (self.growth.asked() + self.claims(), false)
        };
        Demand { funds, starving, tokens_only: false }
    }

    /// Whether the pool needs a fund and has none.
    pub(super) fn starves(&self) -> bool {
        let usable =
            self.roster.len() > 0 || self.absences.queued() > 0 || self.absences.any_unborn();
        usable && self.funds == 0 && self.floor() == 1
    }

    /// Adds workers to a saturated pool, as far as there are any.
    pub(super) fn grow(&mut self, now: Nanos, out: &mut Orders) {
        if self.growth.due().is_some_and(|at| at <= now) {
            out.take.funds += self.growth.step().min(self.roster.len());
        }
    }
}
