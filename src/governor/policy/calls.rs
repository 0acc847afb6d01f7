//! Calls and jobs from outside, and broadcasts.

use super::{Nanos, Orders, Phase, Policy};

/// So many workers a call wakes itself, beside the first; each costs it a few microseconds. The
/// governor's thread wakes others, and would itself have to be woken for these.
const AT_ONCE: usize = 3;

impl Policy {
    /// A call or job from outside begins.
    pub(crate) fn enter(&mut self, now: Nanos, out: &mut Orders) {
        self.engaged += 1;
        self.resume = match self.phase {
            Phase::Dormant => self.growth.reached() - 1,
            Phase::Slack => self.release.given(),
            Phase::Listening { .. } | Phase::Saturated { .. } => 0,
        };
        self.note_call(now, true, out);
        self.sweep.called = self.sweep.in_turn.is_some();
        match self.phase {
            Phase::Dormant => {
                self.pressing = true;
                if self.funds == 0 {
                    out.take.funds += 1;
                    self.resume_some(AT_ONCE, out);
                }
            }
            Phase::Slack if self.roster.len() > 0 => {
                self.resume_some(AT_ONCE, out);
                self.probe_for_call(now);
            }
            Phase::Slack | Phase::Listening { .. } | Phase::Saturated { .. } => {}
        }
    }

    /// A call in a slack pool may need more workers than are admitted. Calls may come by the thousand a second, so that
    /// not each of them is worth a probe.
    pub(super) fn probe_for_call(&mut self, now: Nanos) {
        let (first, longest) = self.knobs.look;
        let pause = match (self.growth.asked(), self.admitted) {
            // The longer a loop of calls has gone on, the less likely is it that the next one differs.
            (0, _) => (self.rhythm.lasted(now) / 4).clamp(first, longest),
            // No token is to be had, and one that comes will be offered. Only whether the sole worker blocks is left to
            // find out.
            (_, 1) => longest,
            _ => return,
        };
        self.probe_by(now.max(self.last_post + pause));
    }

    /// Takes funds for those that were of use before, and for at `most` so many of them.
    pub(super) fn resume_some(&mut self, most: usize, out: &mut Orders) {
        let some = self.resume.min(most).min(self.roster.len());
        self.resume -= some;
        out.take.funds += some;
        out.take.resuming |= some > 0;
    }

    /// A call or job from outside has ended.
    pub(crate) fn leave(&mut self, now: Nanos, out: &mut Orders) {
        debug_assert!(self.engaged > 0, "a call ended that never began");
        self.engaged -= 1;
        self.resume = 0;
        self.note_call(now, false, out);
        if self.phase == Phase::Dormant && self.floor() == 0 {
            // It was kept for a thread that has not come up yet.
            out.give += std::mem::take(&mut self.funds);
        }
        self.end_if_over(out);
    }

    /// Every worker has been given a job of its own.
    pub(crate) fn broadcast(&mut self, now: Nanos, out: &mut Orders) {
        self.touch(now);
        self.sweep.announced = true;
        if self.phase == Phase::Slack {
            self.post(now, 1, out);
        }
    }
}
