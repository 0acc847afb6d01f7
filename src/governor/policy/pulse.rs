//! Calls that nobody announces: whether one is under way shows in what the workers of a slack pool run.
//!
//! rayon's own functions on the global pool tell us nothing. A pool that took each serial phase of such
//! a call for its end would give a token back every time, and begin the next wide one without it. To
//! look at the clocks of the workers wakes none of them, as a probe would.

use super::{Nanos, Phase, Policy};

/// What the CPU clocks of a pool's workers tell.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Some worker ran when they were last looked at.
    beats: bool,
    /// They have been seen since the pool last ran on our account.
    seen: bool,
    /// When they are looked at next.
    at: Nanos,
}

impl Policy {
    /// Whether a call from outside is under way, announced or not.
    pub(super) fn is_called(&self) -> bool {
        self.engaged > 0 || (self.is_silent() && self.pulse.beats)
    }

    /// Whether calls are not announced, and can be found out about.
    pub(super) fn is_silent(&self) -> bool {
        self.anchored && self.engaged == 0 && !self.blind
    }

    /// The pool has shown that somebody is busy.
    pub(super) fn quicken(&mut self) {
        self.pulse.beats = true;
    }

    /// Looks at the workers from now on, once those that ran on our account are asleep again.
    pub(super) fn rest(&mut self, now: Nanos) {
        self.pulse.seen = false;
        self.pulse.at = now + self.knobs.settle;
    }

    /// When the pulse of a slack pool is felt next, if calls are not announced and it has anything to
    /// give up.
    pub(super) fn pulse_due(&self) -> Option<Nanos> {
        let silent = self.is_silent() && !self.draining;
        let spare = self.phase == Phase::Slack && self.admitted > self.floor();
        let settled = self.turning == 0 && self.waking == 0;
        (silent && spare && settled).then_some(self.pulse.at)
    }

    /// Whether the next tick wants to know first how many of the [sample](Self::sample) have
    /// [run](Self::felt) since they were last asked about.
    pub(crate) fn feels(&self, now: Nanos) -> bool {
        self.pulse_due().is_some_and(|at| at <= now)
    }

    /// So many have; `None`: this system does not tell.
    pub(crate) fn felt(&mut self, now: Nanos, active: Option<usize>) {
        let Some(active) = active else {
            self.blind = true;
            return;
        };
        // The first time it tells is when patience ends that begins with the call's end.
        self.pulse.at = now + self.knobs.patience.0.saturating_sub(self.knobs.settle);
        if !std::mem::replace(&mut self.pulse.seen, true) {
            return;
        }
        let did = std::mem::replace(&mut self.pulse.beats, active > 0);
        if did && active == 0 {
            self.release.seen_enough();
        }
        let added = self.roster.len() > 0 && self.growth.asked() == 0;
        if active > 1 && added && now >= self.last_post + self.look {
            // No longer a serial phase, or a worker that has not yet gone to sleep after a probe: then
            // the next one must be longer in coming.
            self.probe_by(now);
            self.look = (self.look * 2).min(self.knobs.look.1);
        }
    }
}
