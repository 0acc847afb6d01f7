//! What the driver asks a policy between two events.

use super::{Nanos, Phase, Policy, Tally, earliest};

impl Policy {
    /// When [`tick`](Self::tick) is to be called next; `None`: nothing happens by itself.
    pub(crate) fn deadline(&self) -> Option<Nanos> {
        if self.ended {
            return None;
        }
        let due = match self.phase {
            Phase::Dormant => {
                // Somebody who was seen to block goes on as soon as it wakes.
                let waits = (self.starves() && !self.pressing) || self.funds > 0;
                let press = waits.then_some(self.press_at);
                earliest([press, self.inspection()])
            }
            Phase::Listening { since } => (self.waking == 0).then(|| self.matures_at(since)),
            Phase::Saturated { .. } if self.roster.len() == 0 => self.inspection(),
            Phase::Saturated { .. } => earliest([self.growth.due(), self.inspection()]),
            Phase::Slack if self.resume > 0 && self.roster.len() > 0 => Some(self.slack_since),
            Phase::Slack => self.slack_deadline(),
        };
        earliest([due, self.overdue(), self.lease.due(), self.departure.due()])
    }

    /// Whether the only admitted worker is a lookout, whose activity the next tick wants to know.
    pub(crate) fn watches(&self, now: Nanos) -> bool {
        self.phase == Phase::Slack && self.beat_due().is_some_and(|at| at <= now)
    }

    /// Whether the next tick wants the workers [inspected](Self::inspect) first.
    pub(crate) fn inspects(&self, now: Nanos) -> bool {
        self.inspection().is_some_and(|at| at <= now + self.inspections.leeway())
    }

    /// Whether the next tick takes every worker for busy that are most likely asleep: it wants to know first
    /// whether one of the [sample](Self::sample) has [starved](Self::starved) for a core since the probe was
    /// posted.
    pub(crate) fn doubts(&self, now: Nanos) -> bool {
        matches!(self.phase, Phase::Listening { .. })
            && self.presumes_sleep()
            && self.probe_has_matured(now)
    }

    /// One has: it may be idle, and take the probe as soon as it runs.
    pub(crate) fn starved(&mut self, now: Nanos) {
        self.listen_anew(now);
    }

    /// Whether it matters to the next tick what lies in the jobserver: a pool that only keeps
    /// watch neither takes nor gives.
    pub(crate) fn trades(&self) -> bool {
        self.phase != Phase::Slack
            || self.engaged > 0
            || self.admitted > self.floor()
            || self.only_waits()
    }

    /// When the lookout last ran on our account, as far as is known.
    pub(crate) fn rested_at(&self) -> Nanos {
        self.heart.since
    }

    /// The admitted worker, where there is just one.
    pub(crate) fn lookout(&self) -> Option<usize> {
        self.roster.outsiders(0, 1).next().filter(|_| self.admitted == 1)
    }

    /// Whether the pool is over: every job has run and its owner has dropped it.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn admitted(&self) -> usize {
        self.admitted
    }

    pub(crate) fn funds(&self) -> usize {
        self.funds
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}
