//! Probes: when they are posted, what it means that one lies untaken, and what that one is taken.

use super::{Judged, LATE, Nanos, Orders, Phase, Policy, Sighting, Verdict, earliest};
use crate::jobserver::Market;

impl Policy {
    /// A worker that found nothing to pop and nothing to steal took a probe.
    pub(crate) fn taken(
        &mut self,
        now: Nanos,
        market: Market,
        sighting: Sighting,
        out: &mut Orders,
    ) -> Verdict {
        debug_assert!(self.probes > 0, "a probe was taken that nobody posted");
        self.probes -= 1;
        let Sighting { worker, nested, .. } = sighting;
        if self.absences.has_gone(worker) {
            return self.linger(now, out);
        }
        self.departure.searched();
        if self.ended {
            return Verdict::Stay;
        }
        if self.strays(now, worker, nested, out) {
            return Verdict::Park;
        }
        debug_assert!(self.admitted > 0, "nobody is admitted, and yet somebody took a probe");
        self.end_turn_of(now, worker);
        self.waiting = nested;
        self.doubtful = false;
        let learned = self.learn_from(now, sighting);
        match self.serve_others(now, market, sighting, out) {
            Some(verdict) => verdict,
            None => self.keep_or_give(now, market, sighting, learned, out),
        }
    }

    /// Hands the fund of an idle worker to others of the pool, if it is their turn, and says what the worker is to do
    /// then.
    fn serve_others(
        &mut self,
        now: Nanos,
        market: Market,
        Sighting { worker, nested, .. }: Sighting,
        out: &mut Orders,
    ) -> Option<Verdict> {
        if self.absences.queued() > 0 {
            self.park(now, worker, nested);
            self.hand_to_returned(now, out);
            return Some(Verdict::Park);
        }
        // A pool whose nested workers look without a pause is never slack when its time is looked after.
        self.plan_resweep(now);
        let sweeps = self.sweep_is_due(now);
        // The looks of many may take up all the time there is, each being due again before the last is done.
        let others = sweeps || market.rival_starving || self.has_overkept(now);
        if !(others && self.looked)
            && let Some(next) = self.roster.take_nested(now)
        {
            self.looked = others;
            self.park(now, worker, nested);
            self.hand_over(now, next, out);
            return Some(Verdict::Park);
        }
        self.looked = false;
        if self.admitted > self.floor() && self.growth.is_lulled() {
            return Some(self.leave_lull(now, worker, nested, out));
        }
        sweeps.then(|| self.begin_sweep(now, worker, nested, out))
    }

    /// Whether a fund that is not needed has been kept for too long.
    fn has_overkept(&self, now: Nanos) -> bool {
        self.admitted > self.floor() && self.overkeeps(now)
    }

    /// An idle worker keeps its fund for what may come, or gives it back. What it is taken for, and whether it had work
    /// for so long that the probe matured, was [learned](Self::learn_from) before.
    fn keep_or_give(
        &mut self,
        now: Nanos,
        market: Market,
        Sighting { worker, nested, .. }: Sighting,
        (judged, worked): (Judged, bool),
        out: &mut Orders,
    ) -> Verdict {
        let asked = self.release.pending() > 0 || self.has_overkept(now);
        let (without, within) = self.knobs.patience;
        let usual = if self.is_called() { within } else { without };
        let patience = if self.release.is_wanted() { usual.min(self.patience()) } else { usual };
        // Parked, a nested worker would itself need somebody to look after it: it counts as waiting.
        let early = nested && now < self.slack_since + 4 * patience;
        let idle = judged == Judged::Quiet
            || (judged == Judged::Unknown && !worked && self.release.is_wanted());
        let spare = self.admitted > self.floor();
        let forgoes = judged != Judged::Active && !worked && self.forgoes(now, market);
        if market.rival_starving || (spare && asked && idle && !early) || forgoes {
            if forgoes && !market.rival_starving {
                self.forgone.goes();
            }
            self.give_up(now, worker, nested, out);
            return Verdict::Park;
        }
        if judged != Judged::Quiet && !worked {
            self.bid(now, market, out);
        }
        self.idler = (!nested).then_some(worker);
        self.settle(now);
        if asked && early && self.phase == Phase::Slack {
            // All that are idle may be nested: to ask them again at once would be in vain.
            let pause = (now - self.slack_since) / 4;
            self.release.answered(now + pause.max(self.knobs.canary));
        }
        Verdict::Stay
    }

    /// What an idle worker is taken for, by what it did and by what else is known of the pool.
    fn judge(&mut self, now: Nanos, Sighting { judged, late, .. }: Sighting) -> Judged {
        // Of several probes that idle workers are asked by, one may lie until the next wakes somebody:
        // whoever was woken for it has parked on another.
        let telling = !self.release.asks_several();
        let slept = judged == Judged::Slept && self.is_silent() && self.sleeps_late(now);
        // On a crowded machine anybody may come late, and in a lull nothing has come of it for long.
        let believes = !self.growth.is_still(now);
        match judged {
            // Whatever it did is over.
            _ if !self.is_callable() => Judged::Quiet,
            Judged::Slept if self.was_long_busy(now) => Judged::Active,
            // In an idle pool whoever was woken in passing would pass for busy. So it would between the phases of
            // a call; that is no matter where nobody wants its token.
            Judged::Slept if believes && self.engaged > 0 && self.release.is_unwanted() => {
                Judged::Active
            }
            _ if believes && telling && (late || slept) && self.trusts_waits() => Judged::Active,
            Judged::Slept => Judged::Quiet,
            judged => judged,
        }
    }

    /// What the taker of a probe tells of the pool. Returns what it is taken for, and whether it had
    /// work for so long that the probe matured.
    fn learn_from(&mut self, now: Nanos, sighting: Sighting) -> (Judged, bool) {
        let Sighting { worker, nested, moved, judged: ran, late } = sighting;
        let judged = self.judge(now, sighting);
        self.lively = judged != Judged::Quiet;
        // On a crowded machine a probe lies long before an idle worker gets to run: only one that
        // did run was busy.
        let worked = self.probe_has_matured(now) && judged != Judged::Quiet;
        if worked {
            self.looks.pause = self.knobs.look.0;
        }
        match judged {
            Judged::Active => {
                if self.release.pending() > 0 {
                    self.release.refuted();
                }
                if self.release.goes_on() {
                    self.epoch += 1;
                } else if ran == Judged::Active {
                    self.touch(now);
                } else {
                    self.touch_lightly(now);
                }
            }
            Judged::Unknown if worked && self.is_called() => self.touch(now),
            Judged::Unknown if worked => {
                // It may have run, or been woken in passing: enough for a sweep and a short delay.
                self.epoch += 1;
                self.release.postpone(now + self.knobs.patience.0);
            }
            Judged::Quiet if self.is_callable() && !late => self.learn_tau(now),
            Judged::Unknown | Judged::Quiet | Judged::Slept => {}
        }
        if worked || moved || !nested {
            self.roster.progressed(worker);
        }
        if moved {
            self.sweep_once_more(now);
            // More has happened since than that the fund came back: somebody ran whom it was for.
            self.came_back = false;
        }
        // At top level nothing tells what an idle worker has done meanwhile.
        if worked || moved || (!nested && !self.release.goes_on()) {
            self.roster.stir();
        }
        // In a loop of calls that nobody announces anybody has a moment for a probe between two of them.
        let between = self.is_silent() && judged == Judged::Active;
        if !moved && !worked && !between && self.growth.failed(now, self.admitted) {
            self.release.proved(false);
            self.tally.failed_trials += 1;
            self.failed_at = Some(now);
        }
        (judged, worked)
    }

    /// An idle worker took a probe.
    fn learn_tau(&mut self, now: Nanos) {
        if let Phase::Listening { since } | Phase::Saturated { since } = self.phase
            && self.waking == 0
        {
            self.maturity.taken_idle(now - since);
        }
    }

    /// Whether within an announced call nobody took the probe for so long that all must have been busy. Then idle
    /// tokens are kept from now on, not from when the workers last changed: at the end of a wide phase those that wait
    /// for others need theirs.
    fn was_long_busy(&self, now: Nanos) -> bool {
        let lay_long = |since| now >= since + self.knobs.hold / 4;
        let lay = matches!(self.phase, Phase::Saturated { since } if lay_long(since));
        lay && self.engaged > 0 && !self.growth.is_lulled()
    }

    /// Whether one that slept as often as jobs make it was not there for the probe either. On a crowded
    /// machine an idle one may be as late: where others want tokens that must not keep them.
    fn sleeps_late(&self, now: Nanos) -> bool {
        now >= self.last_post + LATE && self.release.is_unwanted()
    }

    /// An idle worker parks, and what funds it goes back.
    fn give_up(&mut self, now: Nanos, worker: usize, nested: bool, out: &mut Orders) {
        self.release.gave();
        self.growth.shrunk();
        self.park(now, worker, nested);
        self.retire(now, out);
        let more = self.release.burst(self.is_called(), self.probes);
        if more > 0 && self.admitted > self.floor() {
            self.post(now, more, out);
        } else {
            self.settle(now);
            // A stranger comes to no probe as long as it does without the pool.
            self.doubtful = self.lookout().is_some_and(|left| Some(left) != self.stranger());
        }
    }

    /// In a lull a worker has found nothing, and what funds it goes back at once.
    fn leave_lull(&mut self, now: Nanos, worker: usize, nested: bool, out: &mut Orders) -> Verdict {
        self.park(now, worker, nested);
        self.retire(now, out);
        self.settle(now);
        if self.probes > 0 && self.admitted > 0 {
            // It lies there for those who were busy before.
            self.phase = Phase::Saturated { since: now };
        } else {
            // Should whoever is left sleep, it is asked, or seen to block: a stranger does not answer.
            let (stranger, seen) = (self.stranger(), self.knobs.detect.is_some());
            self.doubtful = self.lookout().is_some_and(|left| Some(left) != stranger || seen);
        }
        Verdict::Park
    }

    /// A pool whose sections are shorter than a probe takes to mature tries one more worker now and
    /// then, or is offered a token when there is one.
    fn bid(&mut self, now: Nanos, market: Market, out: &mut Orders) {
        if self.roster.len() == 0 || self.growth.asked() > 0 || !self.may_be_called() {
            return;
        }
        if market.lying == 0 {
            self.growth.ask(1);
        } else if !self.lease.is_offering() && self.growth.explores(now) {
            out.take.funds += 1;
            out.take.exploring = true;
        }
    }

    pub(super) fn probe_has_matured(&self, now: Nanos) -> bool {
        match self.phase {
            Phase::Listening { since } => self.waking == 0 && now >= self.matures_at(since),
            Phase::Saturated { .. } => true,
            Phase::Dormant | Phase::Slack => false,
        }
    }

    /// When a probe will have lain for so long, since then, that every admitted worker counts as busy.
    ///
    /// Whoever has a turn takes no probe. If nobody calls, that it has found a job shows by how long the turn goes on:
    /// one that merely waits for a core must not have others added, since each of them calls for another sweep.
    pub(super) fn matures_at(&self, since: Nanos) -> Nanos {
        let alone = self.admitted == 1 && !self.is_callable();
        let turn = self.turn_until().filter(|_| alone);
        turn.unwrap_or(0).max(since + self.tau())
    }

    pub(super) fn probe_by(&mut self, at: Nanos) {
        self.looks.probe_at = earliest([self.looks.probe_at, Some(at)]);
    }

    pub(super) fn post(&mut self, now: Nanos, probes: usize, out: &mut Orders) {
        self.probes += probes;
        self.looks.probe_at = None;
        self.looks.at = None;
        self.last_post = now;
        self.tally.probes += probes as u64;
        out.posts += probes;
        self.phase = Phase::Listening { since: now };
    }

    /// After a probe was taken and its taker dealt with: nobody is left to listen for, or the
    /// others count from now.
    pub(super) fn settle(&mut self, now: Nanos) {
        if self.phase == Phase::Dormant {
            return;
        }
        if self.probes > 0 {
            self.phase = Phase::Listening { since: now };
            return;
        }
        let lay = matches!(self.phase, Phase::Saturated { .. });
        self.phase = Phase::Slack;
        let first = !std::mem::replace(&mut self.tried, true);
        if first && !lay && self.engaged > 0 && self.admitted == 1 && self.roster.len() > 0 {
            // It may have been found before the call, if whoever calls had to wait for a core.
            self.probe_by(now + self.knobs.look.0);
        }
        self.watch_from(now);
        self.listen_later(now);
        self.release.answered(now + self.knobs.canary);
    }
}
