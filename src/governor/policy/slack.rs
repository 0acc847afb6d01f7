//! What a slack pool does in time: look after parked workers, give idle tokens back, keep watch.

use super::absence::SPAN;
use super::{Felt, Nanos, Orders, Phase, Policy, Ran, earliest};
use crate::jobserver::Market;

/// A beat is so small a part of the time since the last activity. The rows of idle times show what a call
/// then waits; half a thousand beats before the longest one is reached are what this costs.
pub(super) const PAUSES: Nanos = 128;

/// The beats at which a lookout is watched.
#[derive(Debug)]
pub(super) struct Heart {
    /// The pause between two, and when the next one comes.
    pub(super) beat: Nanos,
    pub(super) at: Nanos,
    /// When the lookout last ran on our account, as far as is known.
    pub(super) since: Nanos,
    /// When it was first looked at since then.
    pub(super) looked: Option<Nanos>,
    /// Those in succession at which the lookout had not run; longer ones than where calls are not announced count for
    /// as many of these as they are long.
    pub(super) quiet: u32,
    /// This system does not tell whether it runs.
    pub(super) blind: bool,
}

impl Heart {
    /// The pauses are between these bounds.
    pub(super) fn new((first, _): (Nanos, Nanos)) -> Self {
        Heart { beat: first, at: 0, since: 0, looked: None, quiet: 0, blind: false }
    }

    /// Whether the lookout has not run at the last beat, or where nobody can tell no longer seemed to when
    /// the pause had become the `longest`.
    pub(super) fn is_long_idle(&self, longest: Nanos) -> bool {
        self.quiet > 0 || (self.blind && self.beat == longest)
    }
}

impl Policy {
    pub(super) fn slack_deadline(&self) -> Option<Nanos> {
        let (look, patrol) = (self.roster.next_look(), self.rhythm.patrol());
        let urgent = earliest([look, self.probe_due(), self.looks.at, self.glance_due(), patrol]);
        // Whatever else is due by then can wait for a patrol.
        if patrol.is_some() { urgent } else { earliest([urgent, self.unhurried()]) }
    }

    /// When anything is due that may wait for a moment.
    pub(super) fn unhurried(&self) -> Option<Nanos> {
        let sweep = self.roster.any_stale(self.epoch).then(|| self.sweep_at());
        let gives = self.admitted > self.floor() && !self.is_followed();
        let release = gives.then(|| self.release_due());
        let turn = self.turn_until().or(sweep);
        earliest([turn, self.next_resweep(), self.pulse_due(), release, self.beat_due()])
    }

    /// When a probe is due whatever the clocks tell.
    fn probe_due(&self) -> Option<Nanos> {
        earliest([self.looks.probe_at, self.bereft_until()])
    }

    /// When the lookout of a slack pool is watched next.
    pub(super) fn beat_due(&self) -> Option<Nanos> {
        (self.keeps_watch() && self.waking == 0).then_some(self.heart.at)
    }

    /// When idle tokens are looked at next.
    pub(super) fn release_due(&self) -> Nanos {
        if self.draining {
            return self.release.not_before();
        }
        let survey = if self.release.surveyed() { 0 } else { self.window() };
        let due = self.idle_since() + self.patience();
        // An added worker that came between two jobs is given less time to find another one.
        let failed = self.failed_at.map_or(due, |at| at + self.patience() / 2);
        (due.min(failed).saturating_sub(survey)).max(self.release.not_before())
    }

    /// For how long the workers are watched, from the survey on, before idle tokens go back.
    fn window(&self) -> Nanos {
        if self.is_called() && !self.release.is_wanted() { self.knobs.window } else { 0 }
    }

    /// What a slack pool does when its time has come.
    pub(super) fn tend(&mut self, now: Nanos, market: Market, ran: Ran, out: &mut Orders) {
        self.end_long_turn(now);
        self.plan_resweep(now);
        let grows = self.grow_by_pulse(now, market, out);
        let listens = self.listens(now, market);
        if market.rival_starving
            || self.sweep_is_due(now)
            || self.roster.next_look().is_some_and(|at| at <= now)
            || self.probe_due().is_some_and(|at| at <= now)
            || listens
        {
            self.look_soon(market);
            self.post(now, 1, out);
        } else if !grows
            && self.admitted > self.floor()
            && now >= self.release_due()
            && !self.awaits_look(now)
        {
            self.give_way(now, market, out);
        } else if self.watches(now) {
            self.beat(now, market, ran, out);
        }
    }

    /// What becomes of tokens that have been idle for a while.
    fn give_way(&mut self, now: Nanos, market: Market, out: &mut Orders) {
        self.withdraw(now);
        if self.is_callable() && self.release.survey(now + self.window().max(self.knobs.canary)) {
            out.survey = true;
            if !self.is_silent() || self.is_called() {
                return;
            }
            // Nobody has run for a moment, as the pulse tells: no need to watch for it.
        }
        let spare = self.admitted - self.floor();
        // Somebody who merely stirs, as a worker does on its way to sleep, does not put that off.
        let until = self.used_at() + self.knobs.hold;
        if now >= until && self.was_wide(now) {
            self.believe();
            self.touch(now);
            return;
        }
        if self.draining || now >= until {
            self.release.everything(spare, self.funds);
        } else if market.contended() && !self.keeps_all(now) {
            self.release.next_round(self.is_called(), spare, self.funds);
        } else {
            // Where the clocks are looked at anyway the governor does not wake for this alone.
            let again = self.pulse_due().unwrap_or(now + self.knobs.patience.0);
            self.release.postpone(again.min(until));
            return;
        }
        self.post(now, self.release.burst(self.is_called(), 0), out);
    }

    /// Whether not even one token goes back to tell by whether others want any. In a call that nobody announces those
    /// whose jobs wait are not seen to be busy; but if half of the workers run time and again all may be of use, and
    /// a section that has a job for each takes twice as long without one of them.
    fn keeps_all(&self, now: Nanos) -> bool {
        self.is_called() && self.was_wide(now) && self.release.is_most_patient()
    }

    /// Whether idle tokens have been kept for so long that something else keeps the pool from looking at them.
    pub(super) fn overkeeps(&self, now: Nanos) -> bool {
        now >= self.used_at() + 2 * self.knobs.hold && !self.was_wide(now)
    }

    /// Whether the next tick wants to [know](Self::counted) how many of the [sample](Self::sample) have run
    /// since they were surveyed: idle tokens are about to go back. Whoever has not is idle, whatever it did
    /// before.
    pub(crate) fn counts(&self, now: Nanos) -> bool {
        self.phase == Phase::Slack
            && self.engaged > 0
            && self.release.surveyed()
            && now >= self.release_due()
    }

    /// The admitted workers that are surveyed and counted: all, or as many as can be looked at in a
    /// moment. Of the others their next probes tell.
    pub(crate) fn sample(&self) -> impl Iterator<Item = usize> {
        let stranger = self.stranger();
        self.roster.outsiders(0, SPAN).filter(move |&worker| Some(worker) != stranger)
    }

    /// So many of the [sample](Self::sample) have run for a moment at least. If that is half of them when
    /// idle tokens have been kept as long as they may be, the pool is not idle: phases whose jobs wait, or
    /// are few, escape the probes.
    pub(crate) fn counted(&mut self, now: Nanos, Felt { active, second, .. }: Felt) {
        let kept = now >= self.slack_since + self.knobs.hold;
        if kept && 2 * active >= self.sample().count() && !self.draining {
            if self.glimpsed(now, second) {
                self.touch(now);
            } else if !self.growth.is_still(now) {
                // One may compute on, and the others have run on our account: a wide phase may follow all the same.
                self.touch_lightly(now);
            }
        }
    }

    /// The pause after which it is looked whether anything has changed: a small part of the time since the last
    /// activity, and `least` at least.
    pub(super) fn pause(&self, now: Nanos, least: Nanos) -> Nanos {
        ((now - self.slack_since) / PAUSES).clamp(least, self.knobs.rarest(self.anchored))
    }

    /// A heartbeat of the lookout: has anybody called whom we did not see?
    fn beat(&mut self, now: Nanos, market: Market, ran: Ran, out: &mut Orders) {
        self.withdraw(now);
        self.heart.blind = ran == Ran::Unknown;
        match ran {
            Ran::Busy | Ran::Yes => {
                // One that has not slept at a beat since it was last found so goes on with what it did; and the thread
                // that built the pool works on its own account, and announces its calls.
                let news = self.heart.quiet > 0 && self.lookout() != self.stranger();
                if news {
                    self.touch(now);
                } else if !self.growth.is_still(now) {
                    self.touch_lightly(now);
                }
                self.quicken();
                if ran == Ran::Yes {
                    self.growth.recall();
                    self.sweep.announced |= news || !self.growth.is_still(now);
                } else if self.engaged == 0 {
                    // Of a call that was announced nothing new is known: it may compute on in a serial phase.
                    self.resume_silently(out);
                }
                self.post(now, 1, out);
            }
            Ran::Unknown => {
                self.heart.beat = (self.heart.beat * 2).min(self.knobs.beat.1);
                self.sweep.rotate = self.roster.len() > 0;
                self.post(now, 1, out);
            }
            // Nobody could steal what it may have left, and nothing else would tell.
            Ran::Waits if !self.waiting => self.post(now, 1, out),
            // It may take long to fall asleep: where every core is wanted tens of milliseconds.
            Ran::Unsettled | Ran::Waits => {
                let pause = (now - *self.heart.looked.get_or_insert(now)).min(self.knobs.beat.1);
                self.heart.at = now + pause.max(self.heart.beat);
            }
            Ran::No => {
                self.calm();
                // So that a call after a pause waits no longer than a small part of that pause.
                let (least, longest) = self.knobs.beat;
                self.heart.beat = self.pause(now, least);
                self.heart.at = now + self.heart.beat;
                let before = self.heart.quiet;
                self.heart.quiet += (self.heart.beat / longest).max(1) as u32;
                if self.waiting || self.doubtful || self.forgoes(now, market) {
                    // The wait may be over, and the worker asleep at top level since.
                    self.post(now, 1, out);
                } else if self.heart.quiet / self.knobs.rotation > before / self.knobs.rotation
                    && self.roster.len() > 0
                {
                    self.sweep.rotate = true;
                    self.post(now, 1, out);
                }
            }
        }
    }
}
