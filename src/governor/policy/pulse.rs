//! Calls that nobody announces: whether one is under way shows in what the workers of a slack pool run.
//!
//! rayon's own functions on the global pool tell us nothing. A pool that took each serial phase of such
//! a call for its end would give a token back every time, and begin the next wide one without it. To
//! look at the clocks of the workers wakes none of them, as a probe would.

use super::judge::probe_cost;
use super::watch::SEARCH;
use super::{Nanos, Orders, Phase, Policy, earliest};
use crate::jobserver::Market;

/// What the workers of a pool have run since they were last looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Felt {
    /// How many have run at all.
    pub(crate) active: usize,
    /// What the busiest has run, the one after it, and the idlest.
    pub(crate) most: Nanos,
    pub(crate) second: Nanos,
    pub(crate) least: Nanos,
}

impl Default for Felt {
    fn default() -> Self {
        Felt { active: 0, most: 0, second: 0, least: Nanos::MAX }
    }
}

impl Felt {
    /// Adds what one more worker has run.
    pub(crate) fn and(self, ran: Nanos) -> Self {
        let active = self.active + usize::from(ran > 0);
        let second = self.second.max(ran.min(self.most));
        Felt { active, most: self.most.max(ran), second, least: self.least.min(ran) }
    }
}

/// What the CPU clocks of a pool's workers tell.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    /// Some worker had run for more than a moment when they were last looked at.
    beats: bool,
    /// What has been seen since the pool last ran on our account.
    pub(super) since: Since,
    /// When they were looked at, and when they are next.
    felt_at: Nanos,
    at: Nanos,
    /// The pause between the two, in units of the shortest.
    pause: Nanos,
    /// Since when somebody has computed most of the time.
    busy_since: Option<Nanos>,
    /// Since when somebody has run between any two looks.
    lasts_since: Option<Nanos>,
    /// When anybody was last seen to have run.
    stirred_at: Nanos,
    /// When every worker was last seen to have run for a good part of the time.
    used_at: Nanos,
    /// When half of the workers were last seen to have run.
    wide_at: Option<Nanos>,
    /// By then every worker had run for most of the time, or half of them at all though tokens have gone
    /// back.
    full: bool,
    /// A worker passed for one whose job waits, and nobody has run since.
    trusted: bool,
    /// Tokens were kept because half of the workers had run, which were not certainly in jobs since.
    believed: bool,
}

/// What the looks since some probe or turn of ours have told.
#[derive(Debug, Default)]
pub(super) struct Since {
    /// There has been one.
    seen: bool,
    /// None of the workers had run at some of them, or no more than one.
    settled: bool,
    alone: bool,
    /// What the busiest has run, all looks together, and the one after it.
    searched: Nanos,
    second: Nanos,
}

/// Bounds of the longest pause, in units of the shortest. A worker that is woken beside the governor may be
/// queued behind the one that woke it, for up to a tick: 100 bare joins of 0.2 ms of work on two cores took 1.4
/// to 1.6 times as long as on stock rayon with 1 unit, 1.2 to 1.3 with 5, and no longer with 60. Tokens that
/// somebody waits for, back within 2 ms, leave no room for more than the first; where nobody is known to, 200
/// sections of 100 µs took 1.15 times as long with that, and 1.10 with the second.
const LONGEST: (Nanos, Nanos) = (4, 12);

/// So many of the shortest pauses make a call a long one. Its workers are looked at half as often, whatever they do:
/// 50 bare joins of 0.2 ms that sleep, on 16 workers, took 1.09 times as long as on stock rayon with a look every
/// 0.3 ms, and 1.06 since, in 100 runs of each in turn; fewer show no difference. 20 sections of 0.5 ms with gaps of
/// 1 ms on 2 of 16 workers take as long as before.
const LASTS: Nanos = 8;

/// Whoever runs for less between two looks does no job: rayon takes so long to let a worker fall asleep.
/// Seen in a log of 16 workers after a call: up to 7 µs, and 20 or more as long as they had jobs.
pub(crate) const STIR: Nanos = 10_000;

/// Nobody is idle who runs for this part of the time, though each section of a loop may leave him a moment for a
/// probe.
pub(super) const USED: Nanos = 4;

impl Since {
    /// Whether it is certain that those run for jobs that have run since the last look, the busiest so long. Whoever
    /// runs on from a probe of ours may be on its way to sleep.
    fn is_certain(&mut self, active: usize, most: Nanos) -> bool {
        self.searched += most;
        let certain = self.settled || self.searched > SEARCH;
        self.settled |= active == 0;
        certain
    }

    /// Whether several workers are in jobs, if the busiest but one has run so long since the last look. Where all cores
    /// are wanted it takes long to fall asleep.
    fn several_run(&mut self, second: Nanos) -> bool {
        self.second += second;
        let several = second >= STIR && (self.alone || self.second > SEARCH);
        self.alone |= second < STIR;
        several
    }

    /// Whether they have run for longer than a few searches take that cost so much each. One that waits for a core on
    /// its way to sleep seems to sleep.
    pub(super) fn several_work(&mut self, second: Nanos, cost: Nanos) -> bool {
        self.several_run(second) && self.second > SEARCH + 2 * cost
    }
}

impl Policy {
    /// Whether a call from outside is under way, announced or not.
    pub(super) fn is_called(&self) -> bool {
        self.engaged > 0 || (self.is_silent() && self.pulse.beats)
    }

    /// The same, or nobody can tell.
    pub(super) fn may_be_called(&self) -> bool {
        self.is_called() || (self.anchored && self.heart.blind)
    }

    /// The lookout has not run for a beat: no call is under way.
    pub(super) fn calm(&mut self) {
        self.pulse.beats = false;
    }

    /// Whether calls are not announced, and can be found out about.
    pub(super) fn is_silent(&self) -> bool {
        self.anchored && self.engaged == 0 && !self.heart.blind
    }

    /// The pool has shown that somebody is busy.
    pub(super) fn quicken(&mut self) {
        self.pulse.beats = true;
    }

    /// Whether a worker was in a job that waited if it took a probe late, or slept as often as one does. Where
    /// that is all there is to tell of jobs it is believed once: whoever takes up a job runs. A core's owner
    /// may delay an idle worker of a guest, and no clock of the guest tells.
    pub(super) fn trusts_waits(&mut self) -> bool {
        let alone = self.is_silent() && !self.pulse.beats;
        !(alone && std::mem::replace(&mut self.pulse.trusted, true))
    }

    /// Looks at the workers from now on, once those that ran on our account are asleep again.
    pub(super) fn rest(&mut self, now: Nanos) {
        self.pulse.since = Since::default();
        self.pulse.at = now + self.search_time();
    }

    /// How long after a probe whoever took it is asleep again: the more workers there are, the more queues it searches.
    pub(super) fn search_time(&self) -> Nanos {
        self.knobs.settle.max(probe_cost(self.workers))
    }

    /// When the workers are to be seen for the first time since they ran on our account, if they have not been.
    pub(super) fn unseen_until(&self) -> Option<Nanos> {
        (!self.pulse.since.seen).then_some(self.pulse.at)
    }

    /// Notes that they are seen, and says whether they have been before.
    pub(super) fn see(&mut self) -> bool {
        std::mem::replace(&mut self.pulse.since.seen, true)
    }

    /// When the pulse of a slack pool is felt next, if calls are not announced and it has anything to
    /// give up.
    pub(super) fn pulse_due(&self) -> Option<Nanos> {
        let silent = self.is_silent();
        let spare = self.phase == Phase::Slack && self.admitted > self.floor();
        let settled = self.sweep.in_turn.is_none() && self.waking == 0;
        (silent && spare && settled).then_some(self.pulse.at)
    }

    /// Whether a call is under way whose workers are looked at again before long: then idle tokens wait for
    /// that.
    pub(super) fn is_followed(&self) -> bool {
        self.is_called() && self.pulse_due().is_some()
    }

    /// The same, and that look is still to come.
    pub(super) fn awaits_look(&self, now: Nanos) -> bool {
        self.is_followed() && self.pulse.felt_at != now
    }

    /// Whether the next tick wants to know first what the [sample](Self::sample) [has run](Self::felt)
    /// since it was last asked about.
    pub(crate) fn feels(&self, now: Nanos) -> bool {
        earliest([self.pulse_due(), self.glance_due(), self.measure_due()])
            .is_some_and(|at| at <= now)
    }

    /// That is what they have run; `None`: this system does not tell.
    pub(crate) fn felt(&mut self, now: Nanos, felt: Option<Felt>) {
        let Some(felt) = felt else {
            self.heart.blind = true;
            return;
        };
        let Felt { active, most, second, least: idlest } = felt;
        let elapsed = now - std::mem::replace(&mut self.pulse.felt_at, now);
        if !self.is_silent() {
            self.measured(felt, elapsed);
            // Whoever has run on our account may not be asleep yet.
            if self.unseen_until().is_none_or(|at| at <= now) {
                self.glanced(now, active, second);
            }
            return;
        }
        let seen = self.see();
        // While somebody computes the call is not over; once he begins to pause it may be soon.
        let busy = seen && 2 * most >= elapsed;
        self.pulse.busy_since = busy.then(|| self.pulse.busy_since.unwrap_or(now - elapsed));
        let least = self.least_pause(now);
        self.pulse.pause =
            if busy { (2 * self.pulse.pause).clamp(least, self.longest_pause(now)) } else { least };
        self.pulse.at = now + self.pulse.pause * self.shortest_pause();
        if !seen {
            return;
        }
        let beats = most >= STIR;
        if beats {
            self.pulse.stirred_at = now;
            self.pulse.trusted = false;
        }
        if std::mem::replace(&mut self.pulse.beats, beats) && !beats {
            self.release.seen_enough();
        }
        self.pulse.lasts_since = beats.then(|| self.pulse.lasts_since.unwrap_or(now));
        if active > 0 && USED * idlest >= elapsed {
            self.pulse.used_at = now;
        }
        let certain = self.pulse.since.is_certain(active, most);
        let several = self.pulse.since.several_run(second) || !self.growth.is_still(now);
        let wide = beats && several && active > 1 && 2 * active >= self.sample().count();
        if wide && certain {
            self.pulse.believed = false;
        }
        if wide {
            self.pulse.wide_at = Some(now);
        }
        let full = active > 0 && idlest >= elapsed.div_ceil(2);
        if full && self.growth.confirmed(now, self.admitted, self.workers) {
            self.release.proved(true);
        }
        self.pulse.full = full || (wide && self.release.given() > 0);
        if active > 1 && self.could_add() && now >= self.last_post + self.looks.pause {
            // No longer a serial phase, or a worker that has not yet gone to sleep after a probe: then
            // the next one must be longer in coming.
            self.probe_by(now);
            self.looks.pause = (self.looks.pause * 2).min(self.knobs.look.1);
        }
    }

    /// The shortest pause between two looks: the first one that tells anything comes when patience ends
    /// that begins with the call's end.
    fn shortest_pause(&self) -> Nanos {
        self.knobs.patience.0.saturating_sub(self.knobs.settle)
    }

    /// The least pause, in units of the shortest: 2 where somebody has run for so long that a look more or less is no
    /// matter, as it is where others are known to want tokens.
    fn least_pause(&self, now: Nanos) -> Nanos {
        let long = LASTS * self.shortest_pause();
        let lasts = self.pulse.lasts_since.is_some_and(|since| now >= since + long);
        if lasts && !self.release.is_wanted() { 2 } else { 1 }
    }

    /// The longest pause, in units of the shortest: half as long as somebody has been busy, within bounds, so
    /// that a look that comes late, after a call's end, comes late by a part of what the call took.
    fn longest_pause(&self, now: Nanos) -> Nanos {
        let (least, most) = LONGEST;
        if self.release.is_wanted() {
            return least;
        }
        let half = self.pulse.busy_since.map_or(0, |since| (now - since) / 2);
        (half / self.shortest_pause().max(1)).clamp(least, most)
    }

    /// When the pool was last known to have a use for every token.
    pub(super) fn used_at(&self) -> Nanos {
        if self.is_silent() { self.slack_since.max(self.pulse.used_at) } else { self.slack_since }
    }

    /// Since when the pool has had no use for idle tokens, as far as is known.
    pub(super) fn idle_since(&self) -> Nanos {
        if !self.is_silent() || self.is_called() {
            return self.used_at();
        }
        // The call was over, if it was, some time before the look that told.
        self.slack_since.max(self.pulse.stirred_at.saturating_sub(self.shortest_pause()))
    }

    /// Whether half of the workers of a silent pool have run not long ago: it is one of phases that
    /// escape the probes, not an idle one. Where they may but be on their way to sleep after a sweep this is believed
    /// once.
    pub(super) fn was_wide(&self, now: Nanos) -> bool {
        let lately = |at: Nanos| now < at + self.knobs.hold / 4;
        self.is_silent() && !self.pulse.believed && self.pulse.wide_at.is_some_and(lately)
    }

    /// Notes that tokens are kept for that.
    pub(super) fn believe(&mut self) {
        self.pulse.believed = true;
    }

    /// Adds workers to a pool whose workers are all seen to be busy, though each of them may have a moment
    /// for a probe now and then. Says whether it asks for any.
    pub(super) fn grow_by_pulse(&mut self, now: Nanos, market: Market, out: &mut Orders) -> bool {
        let full = std::mem::take(&mut self.pulse.full);
        let parked = self.roster.len();
        if !full || parked == 0 || self.growth.asked() > 0 {
            return false;
        }
        match self.release.given() {
            _ if market.lying == 0 => self.growth.ask(1),
            0 => self.grow(now, out),
            // They went back in a serial phase, and nobody has taken them all.
            given => {
                self.release.reset();
                out.take.funds += given.min(parked);
            }
        }
        out.take.resuming = out.take.funds > 0;
        out.take.resuming
    }

    /// A call has been noticed that keeps the lookout busy: what was of use to the one before it is taken
    /// for this one too.
    pub(super) fn resume_silently(&mut self, out: &mut Orders) {
        let parked = self.roster.len();
        if parked > 0 {
            out.take.funds += (self.growth.reached() - 1).clamp(1, parked);
            out.take.resuming = true;
        }
    }
}
