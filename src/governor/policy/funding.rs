//! What the pool wants of the ledger, and what becomes of what it gets.

use super::{Nanos, Orders, Phase, Policy};
use crate::jobserver::Demand;

impl Policy {
    /// Funds have come: `got` of the `asked` that an order to take was about, or what the ledger
    /// granted of what the pool wants (`asked` is then 0).
    pub(crate) fn supplied(&mut self, now: Nanos, asked: usize, got: usize, out: &mut Orders) {
        self.funds += got;
        if asked > 0 && self.admitted > 0 {
            let on_trial = matches!(self.phase, Phase::Saturated { .. });
            self.release.fetched(got > 0, on_trial);
        } else if asked > 0 {
            self.release.taken_anew(got);
        }
        self.fund_returned(now, out);
        if self.funds > 0 && self.admitted == 0 && self.floor() == 1 && !self.ended {
            match self.roster.take_best() {
                Some(worker) => {
                    self.wake(now, worker, out);
                }
                // No thread has come up yet: the first that does finds the fund.
                None if self.absences.any_unborn() => {
                    out.give += self.funds - 1;
                    self.funds = 1;
                    self.resuming = false;
                    self.press_at = now + self.knobs.look.1;
                    return;
                }
                // Everybody blocks.
                None => {}
            }
        }
        if asked > 0 && got == 0 {
            self.release.missed(self.funds);
        }
        let saturated =
            matches!(self.phase, Phase::Saturated { .. }) || (asked == 0 && self.arriving());
        // Offered to a pool that has wanted it for a while but is not saturated just now.
        let offered = asked == 0 && !saturated && self.growth.asked() > 0;
        let explores = std::mem::take(&mut self.exploring)
            || (offered && self.lively && self.growth.explores(now));
        if explores
            && self.funds > self.admitted
            && let Some(worker) = self.roster.take_best()
        {
            self.wake(now, worker, out);
            self.growth.withdraw();
            if self.phase == Phase::Slack {
                // There are two at least to look at, where there may have been but one.
                self.listen_later(now);
            }
        }
        if std::mem::take(&mut self.resuming) && !saturated {
            self.resume_with(now, out);
        }
        if saturated {
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
            } else if got < asked && self.roster.len() > 0 {
                self.growth.ask(self.growth.step().min(self.roster.len()));
            }
        }
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

    /// The same where nobody has been of use for long. Whoever has waited longest looks at its own queues first, where its
    /// part of a broadcast that nobody announced may lie: no sweep comes before somebody is idle. But every other
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
        let (funds, starving) = match () {
            () if self.ended => (0, false),
            () if self.starves() => (self.absences.queued().max(1), self.pressing),
            () => (self.growth.asked() + self.claims(), false),
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
            out.take += self.growth.step().min(self.roster.len());
        }
    }
}
