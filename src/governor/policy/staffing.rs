//! How workers come, are admitted, parked and let go, and where their funds go.

use super::{Nanos, Orders, Phase, Policy, UNCALLED, Verdict, Wake};

impl Policy {
    /// A worker thread has come up. It stays if a fund waits for it.
    pub(crate) fn started(&mut self, now: Nanos, worker: usize) -> Verdict {
        // One that has waited for something in its start handler may have been parked there, and woken.
        if !self.absences.join(worker) {
            return Verdict::Stay;
        }
        self.roster.step(worker);
        if self.ended {
            return Verdict::Stay;
        }
        if self.funds > self.admitted {
            self.admit(now);
            self.probe_first(now);
            return Verdict::Stay;
        }
        self.roster.park_cold(worker, self.epoch);
        if self.is_callable() || self.epoch > UNCALLED {
            // It has not looked at its queues, where its part of a broadcast may lie already: also of one by a job
            // whose call is over.
            self.epoch += 1;
            self.sweep.announced |= self.engaged > 0;
        }
        Verdict::Park
    }

    /// A worker that is about to [have started](Self::started) has jobs in its own queue: what it has spawned in the
    /// program's start handler, or what a job has that it came to while it waited there.
    pub(crate) fn brings_jobs(&mut self, now: Nanos) {
        self.touch(now);
    }

    /// The thread that builds the pool becomes its first worker: it runs from now on.
    pub(crate) fn adopted(&mut self, now: Nanos, worker: usize) {
        self.adopted = true;
        self.absences.join(worker);
        self.roster.step(worker);
        self.admit(now);
        self.probe_first(now);
    }

    /// A worker that was woken to work runs.
    pub(crate) fn resumed(&mut self, now: Nanos) {
        self.waking = self.waking.saturating_sub(1);
        self.probe_first(now);
        self.watch_from(now);
        self.listen_anew(now);
    }

    /// Accounts for a worker that is admitted where it stands.
    pub(super) fn admit(&mut self, now: Nanos) {
        self.admitted += 1;
        self.tally.admissions += 1;
        self.tally.peak = self.tally.peak.max(self.admitted);
        if self.phase == Phase::Dormant {
            self.tried = false;
            self.phase =
                if self.probes > 0 { Phase::Listening { since: now } } else { Phase::Slack };
            // A pool that made way goes on where it was. Were it to count as active, pools that
            // hand one fund round would never get to their sweeps, and never come to rest.
            if !std::mem::take(&mut self.made_way) {
                self.touch(now);
            } else if self.anchored {
                // A call nobody announced may have come meanwhile. Whoever was due before, by something that did
                // happen, stays so.
                self.came_back |= !self.roster.any_stale(self.epoch);
                self.epoch += 1;
            }
            self.looks.pause = self.knobs.look.0;
            self.pressing = false;
            self.forgone.is_back();
        }
    }

    /// An admitted worker runs: plans the first probe, if there has been none since the pool was dormant. The
    /// call that made it active wakes a worker first, and may still be on its way into the injector, where a
    /// probe posted now could be found before it.
    pub(super) fn probe_first(&mut self, now: Nanos) {
        if !self.tried && self.phase == Phase::Slack && self.looks.probe_at.is_none() {
            self.looks.probe_at = Some(now + self.knobs.tau);
        }
    }

    pub(super) fn wake(&mut self, now: Nanos, worker: usize, out: &mut Orders) {
        self.admit(now);
        self.waking += 1;
        out.wake.push((worker, Wake::Work));
    }

    pub(super) fn park(&mut self, now: Nanos, worker: usize, nested: bool) {
        self.idler.take_if(|idler| *idler == worker);
        if nested {
            self.roster.park_nested(worker, now);
        } else {
            self.roster.park_cold(worker, self.epoch);
        }
    }

    /// The fund of a worker that has just parked goes to `next`.
    pub(super) fn hand_over(&mut self, now: Nanos, next: usize, out: &mut Orders) {
        self.tally.handovers += 1;
        self.waking += 1;
        out.wake.push((next, Wake::Work));
        // Without another probe nobody would see the next one idle.
        if self.probes == 0 {
            self.post(now, 1, out);
        } else {
            self.phase = Phase::Listening { since: now };
        }
    }

    /// The fund of a worker that has just parked goes back.
    pub(super) fn retire(&mut self, now: Nanos, out: &mut Orders) {
        self.tally.retirements += 1;
        self.admitted -= 1;
        self.funds -= 1;
        self.waiting = false;
        out.give += 1;
        self.lease.funds_changed(now, self.funds);
        if self.admitted == 1 {
            // Whatever this one or the other has run since the last sweep began.
            self.sweep_once_more(now);
        }
        if self.admitted == 0 {
            self.phase = Phase::Dormant;
            self.growth.forget();
            // Of a pool that makes way, what was announced is still to be run.
            self.sweep.announced &= self.floor() > 0;
            self.sweep.rotate = false;
            self.looks.probe_at = None;
            self.looks.at = None;
            self.made_way = self.floor() > 0;
            // A pool that made way for a starving one looks after itself again before long.
            let next_look = self.roster.next_look().unwrap_or(Nanos::MAX);
            let least =
                if self.forgone.is_out() { self.knobs.canary } else { self.knobs.recheck.0 };
            self.press_at = (now + self.heart.beat).min(next_look).max(now + least);
            self.heart.beat = (self.heart.beat * 2).min(self.pause(now, self.knobs.beat.1));
            self.call_lent(now, out);
            self.end_if_over(out);
        }
    }

    pub(super) fn end_if_over(&mut self, out: &mut Orders) {
        let idle = self.phase == Phase::Dormant;
        if self.draining && !self.ended && idle && self.floor() == 0 {
            self.end(out);
        }
    }

    pub(super) fn end(&mut self, out: &mut Orders) {
        self.ended = true;
        let mut all = self.roster.take_all();
        all.extend(self.absences.dismiss());
        out.wake.extend(all.into_iter().map(|worker| (worker, Wake::Leave)));
        self.let_builder_go(Wake::Leave, out);
        out.give += std::mem::take(&mut self.funds);
        self.admitted = 0;
    }
}
