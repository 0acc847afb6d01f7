//! How a slack pool finds out that it has a use for more workers: by a glance at its workers' clocks, and by a
//! probe if several of them have run.
//!
//! A probe wakes an idle worker, which then looks through all queues before it sleeps again. In a serial
//! phase that is in vain, and tells nothing that the clocks do not.

use super::judge::probe_cost;
use super::{Nanos, Phase, Policy, earliest};
use crate::jobserver::Market;

/// When it is looked whether a slack pool has become a saturated one.
#[derive(Debug)]
pub(super) struct Looks {
    /// When the next probe is to be posted by itself, and the pause before the one after it.
    pub(super) probe_at: Option<Nanos>,
    pub(super) pause: Nanos,
    /// When it is looked next whether the pool has a use for more workers.
    pub(super) at: Option<Nanos>,
    /// When their clocks were last looked at, and whether several had run; `None` if that look could not tell.
    glance: Option<(Nanos, bool)>,
    /// When several had certainly run, and not on our account.
    certain_at: Option<Nanos>,
}

impl Looks {
    /// The pauses are between these bounds.
    pub(super) fn new((first, _): (Nanos, Nanos)) -> Self {
        Looks { probe_at: None, pause: first, at: None, glance: None, certain_at: None }
    }
}

impl Policy {
    /// Plans the next look of a slack pool for saturation, if there is anybody to add.
    pub(super) fn listen_later(&mut self, now: Nanos) {
        // Of a silent pool the pulse tells.
        let felt = self.pulse_due().is_some();
        if !felt && self.admitted > 1 && self.could_add() {
            let at = now + self.looks.pause;
            self.looks.at = earliest([self.looks.at, Some(at)]);
            self.looks.pause = (self.looks.pause * 2).min(self.knobs.look.1);
        }
    }

    /// Whether there is somebody to add, and no token that is wanted of the ledger for that.
    pub(super) fn could_add(&self) -> bool {
        self.roster.len() > 0 && self.growth.asked() == 0
    }

    /// No token is wanted of the ledger any more, and none will be offered: a slack pool is to find out by itself
    /// when it has a use for one.
    pub(super) fn withdraw(&mut self, now: Nanos) {
        if self.growth.asked() > 0 {
            self.growth.withdraw();
            if self.phase == Phase::Slack {
                self.listen_later(now);
            }
        }
    }

    /// Lets the next look come as soon as the first, if that is within a call and tokens are to be had.
    pub(super) fn look_soon(&mut self, market: Market) {
        if market.lying > 0 && self.engaged > 0 {
            self.looks.pause = self.knobs.look.0;
        }
    }

    /// When the workers' clocks are looked at next within a call that is announced.
    pub(super) fn glance_due(&self) -> Option<Nanos> {
        let within = self.phase == Phase::Slack && self.engaged > 0 && !self.heart.blind;
        let at = self.looks.at.filter(|_| within)?;
        // What they run between two looks is to be told: the first one comes once they are asleep.
        earliest([Some(at), self.unseen_until()])
    }

    /// So many workers have run since the last look, and so long the busiest but one.
    pub(super) fn glanced(&mut self, now: Nanos, active: usize, second: Nanos) {
        let seen = self.see();
        if seen && self.pulse.since.several_work(second, probe_cost(self.workers)) {
            self.looks.certain_at = Some(now);
        }
        // The thread that built the pool is in no sample, and may be at work.
        let active = active + usize::from(self.adopted);
        let wide = active > 1;
        self.looks.glance = (wide || seen).then_some((now, wide));
    }

    /// Whether several workers have been in jobs lately, if the busiest but one has run so long since they were
    /// surveyed. Where nobody is parked nobody looks, nor is anybody woken but for a probe.
    pub(super) fn glimpsed(&self, now: Nanos, second: Nanos) -> bool {
        if !self.could_add() {
            return second > probe_cost(self.workers);
        }
        self.looks.certain_at.is_some_and(|at| now < at + self.knobs.hold)
    }

    /// The worker of which the next tick wants to know what it [has run](Self::attested) since it was found idle: tokens
    /// are about to go back, and nobody has looked at the clocks meanwhile, since there is nobody to add.
    pub(crate) fn attests(&self, now: Nanos) -> Option<usize> {
        let gives = self.phase == Phase::Slack && self.engaged > 0 && self.admitted > self.floor();
        let begins = !self.draining && !self.release.surveyed() && now >= self.release_due();
        self.idler.filter(|_| gives && begins && !self.could_add())
    }

    /// It has run so long: if that is more than a search takes, a wide phase has begun since that no probe told of.
    pub(crate) fn attested(&mut self, now: Nanos, ran: Nanos) {
        if ran > probe_cost(self.workers) {
            self.touch_lightly(now);
        }
    }

    /// Whether it is time for a probe that looks for saturation. Where just one worker has run, another look at
    /// the clocks is planned instead; jobs that do not move them wait for a probe as long as one is ever put off.
    pub(super) fn listens(&mut self, now: Nanos, market: Market) -> bool {
        let latest = self.last_post + self.knobs.look.1;
        if self.looks.glance == Some((now, true)) && market.lying > 0 {
            // They may have run on our account alone, or for a wide phase that has a use for what lies there.
            let soon = now + self.knobs.look.0;
            self.looks.at = self.looks.at.map(|at| at.min(soon));
        }
        let due = self.looks.at.is_some_and(|at| at <= now);
        if !due || self.looks.glance != Some((now, false)) || now >= latest {
            return due;
        }
        self.look_soon(market);
        self.looks.at = Some(latest);
        self.listen_later(now);
        false
    }
}
