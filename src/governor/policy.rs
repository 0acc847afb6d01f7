//! The pure policy of one pool: events in, orders out. No clock, no thread, no rayon.
//!
//! `README.md` beside this folder tells the protocol; this file is its state machine. Whoever
//! drives it serialises the events and carries the [`Orders`] out.

mod absence;
mod berth;
mod calls;
mod departure;
mod forgoing;
mod funding;
mod glance;
mod growth;
mod interface;
mod judge;
mod knobs;
mod lease;
mod maturity;
mod notice;
mod presence;
mod probing;
mod pulse;
mod questions;
mod release;
mod rhythm;
mod roster;
mod slack;
mod staffing;
mod still;
mod sweep;
mod watch;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use crate::jobserver::Market;
use absence::Inspections;
pub(crate) use berth::{Berth, Nap, Place, Rest};
use departure::Departure;
use forgoing::Forgone;
use glance::Looks;
use growth::Growth;
pub(crate) use interface::{Judged, Orders, Ran, Sighting, Stillness, Take, Tally, Verdict, Wake};
pub(crate) use judge::{LATE, Record, Usage};
pub(crate) use knobs::{Knobs, Nanos, Pace};
use lease::Lease;
use maturity::Maturity;
pub(crate) use notice::Notice;
use presence::Absences;
use pulse::Pulse;
pub(crate) use pulse::{Felt, STIR};
use release::Release;
use rhythm::Rhythm;
use roster::Roster;
use slack::Heart;
pub(crate) use still::Still;
use sweep::Sweep;
pub(crate) use watch::Watch;

/// Where the pool stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No worker is admitted.
    Dormant,
    /// A probe has lain in the injector since then; too short to conclude anything.
    Listening { since: Nanos },
    /// A probe has lain in the injector since then, for `tau` or longer: every admitted worker is
    /// busy.
    Saturated { since: Nanos },
    /// No probe lies in the injector: some admitted worker was idle when it took the last one, if one has been
    /// taken since the pool was dormant.
    Slack,
}

/// The state of one pool.
///
/// `admitted <= funds` holds between any two events.
#[derive(Debug)]
pub(crate) struct Policy {
    knobs: Knobs,
    workers: usize,
    /// The pool is called in ways we do not see: one worker must always be admitted.
    anchored: bool,
    phase: Phase,
    roster: Roster,
    absences: Absences,
    /// Workers free to run jobs.
    admitted: usize,
    /// Tokens and own slot at hand.
    funds: usize,
    /// Workers that were woken to work and have not been seen to run.
    waking: usize,
    /// Calls and spawned jobs from outside that have not ended.
    engaged: usize,
    rhythm: Rhythm,
    /// A thread that never parks at top level is among the workers.
    adopted: bool,
    departure: Departure,
    /// The owner has dropped the pool.
    draining: bool,
    ended: bool,
    /// Probes that lie in the injector.
    probes: usize,
    last_post: Nanos,
    maturity: Maturity,
    /// Since when the pool has shown no activity.
    slack_since: Nanos,
    /// When an added worker found nothing to do, if nobody has shown activity since.
    failed_at: Option<Nanos>,
    /// So many workers were of use when the pool last had work, and are to be admitted at once.
    resume: usize,
    /// Grows with every sign of activity; a worker parked before may have missed a broadcast.
    epoch: u64,
    sweep: Sweep,
    growth: Growth,
    /// A probe has been taken since the pool was dormant, and whoever took it was idle.
    tried: bool,
    /// Whoever took the last probe had been busy before.
    lively: bool,
    release: Release,
    pulse: Pulse,
    lease: Lease,
    looks: Looks,
    heart: Heart,
    /// Whether a pool without funds presses for one, or else when it begins to, or when one that keeps a fund for a
    /// thread looks whether others need it.
    pressing: bool,
    press_at: Nanos,
    /// The pool gave up its last fund although it had a use for it.
    made_way: bool,
    forgone: Forgone,
    /// It has a fund again since, and nothing more has happened.
    came_back: bool,
    /// Whoever took the last probe did so within a wait: what it waits for may be for others to
    /// run, though nobody outside waits with it.
    waiting: bool,
    /// Whoever took the last probe and kept its fund, unless it waits for a latch.
    idler: Option<usize>,
    /// Whoever took the last probe made way for a nested worker, though others were due as well.
    looked: bool,
    /// The only admitted worker has not said that it is idle: it may block in a job.
    doubtful: bool,
    inspections: Inspections,
    /// Another pool of the process starved when that was last looked at.
    rival: bool,
    tally: Tally,
}

/// The epoch in which nobody has called a pool yet.
const UNCALLED: u64 = 1;

impl Policy {
    pub(crate) fn new(workers: usize, anchored: bool, knobs: Knobs) -> Self {
        Policy {
            knobs,
            workers,
            anchored,
            phase: Phase::Dormant,
            roster: Roster::new(workers, knobs.recheck),
            absences: Absences::new(workers),
            admitted: 0,
            funds: 0,
            waking: 0,
            engaged: 0,
            rhythm: Rhythm::default(),
            adopted: false,
            departure: Departure::default(),
            draining: false,
            ended: false,
            probes: 0,
            last_post: 0,
            maturity: Maturity::new(knobs.tau),
            slack_since: 0,
            failed_at: None,
            resume: 0,
            epoch: UNCALLED,
            sweep: Sweep::default(),
            growth: Growth::new(knobs.backoff, knobs.rarest(anchored)),
            tried: false,
            lively: false,
            release: Release::default(),
            pulse: Pulse::default(),
            lease: Lease::new(knobs.lease),
            looks: Looks::new(knobs.look),
            heart: Heart::new(knobs.beat),
            pressing: false,
            press_at: 0,
            made_way: false,
            forgone: Forgone::default(),
            came_back: false,
            waiting: false,
            idler: None,
            looked: false,
            doubtful: false,
            inspections: Inspections::default(),
            rival: false,
            tally: Tally::default(),
        }
    }

    // ----- what happens -----

    /// The probes that were ordered lie in the injector only now: whoever posts them had other orders to
    /// carry out first, and may have waited for a core.
    pub(crate) fn posted(&mut self, now: Nanos) {
        self.listen_anew(now);
    }

    /// Until now nobody could have taken a probe.
    fn listen_anew(&mut self, now: Nanos) {
        if let Phase::Listening { since } = &mut self.phase {
            *since = now;
        }
    }

    /// The deadline has come, or the market has changed. `ran` is about the lookout, and looked at
    /// only when the policy [watches](Self::watches) it.
    pub(crate) fn tick(&mut self, now: Nanos, market: Market, ran: Ran, out: &mut Orders) {
        self.rival = market.rival_starving;
        if self.trades() {
            self.release.saw(market.lying);
        }
        self.patrol(now);
        if self.resume > 0 && self.phase != Phase::Dormant {
            self.resume_some(usize::MAX, out);
            self.resume = 0;
        }
        self.let_loose(now, out);
        self.tend_builder(now, out);
        self.tend_lease(now, market, out);
        match self.phase {
            Phase::Dormant if self.funds > 0 => {
                // Kept for a thread that has yet to come up, which may wait for the rival in its start handler.
                if self.rival {
                    out.give += std::mem::take(&mut self.funds);
                    self.pressing = false;
                }
                self.press_at = now + self.knobs.look.1;
            }
            Phase::Dormant => self.press(now, market),
            Phase::Listening { since } if self.probe_has_matured(now) => {
                self.phase = Phase::Saturated { since };
                self.release.reset();
                self.quicken();
                self.looks.pause = self.knobs.look.0;
                if self.growth.confirmed(now, self.admitted, self.workers) {
                    self.release.proved(true);
                    // All have work by now, also those that were idle when they were added.
                    self.slack_since = now;
                }
                self.grow(now, out);
            }
            Phase::Listening { .. } => {}
            Phase::Saturated { .. } => self.grow(now, out),
            Phase::Slack => self.tend(now, market, ran, out),
        }
    }

    /// The owner has dropped the pool: finish what was spawned, then end.
    pub(crate) fn drain(&mut self, now: Nanos, out: &mut Orders) {
        self.draining = true;
        // Nothing keeps idle tokens any longer.
        self.rhythm = Rhythm::default();
        // No call comes from now on that nobody announced.
        self.anchored = false;
        self.came_back = false;
        if std::mem::take(&mut self.adopted) {
            self.dismiss_builder(now, out);
        }
        if self.phase == Phase::Slack {
            self.post(now, 1, out);
        }
        self.end_if_over(out);
    }

    /// The pool could not be built: the workers that have started are to go.
    pub(crate) fn abandon(&mut self, out: &mut Orders) {
        self.end(out);
    }

    // ----- how it decides -----

    /// The least number of admitted workers at which nothing can be overlooked.
    fn floor(&self) -> usize {
        let needed = self.is_callable()
            || self.sweep.in_turn.is_some()
            || self.waiting
            || self.departure.is_fresh()
            || self.roster.any_nested()
            || self.absences.any()
            || self.roster.any_stale(self.epoch);
        usize::from(needed)
    }

    /// Whether calls from outside are, or may be, under way: it is told elsewhere [what shows of one](Self::is_called).
    fn is_callable(&self) -> bool {
        self.anchored || self.engaged > 0
    }

    /// How long a probe must lie untaken.
    ///
    /// Much longer where the workers are most likely asleep, without a call under way, while their
    /// tokens go back, while a lookout is but checked on, or in a lull: on a crowded machine they are slow to
    /// wake, and a pool that took them for busy would fetch tokens for nothing.
    fn tau(&self) -> Nanos {
        let tau = self.maturity.tau();
        if self.presumes_sleep() { tau.max(20 * self.knobs.tau) } else { tau }
    }

    /// Whether the workers are most likely asleep.
    pub(crate) fn presumes_sleep(&self) -> bool {
        let checked_on = self.admitted == 1 && self.heart.is_long_idle(self.knobs.beat.1);
        !self.may_be_called() || self.release.pending() > 0 || checked_on || self.growth.is_lulled()
    }

    /// How long idle tokens are kept that others may want.
    fn patience(&self) -> Nanos {
        let (without, within) = self.knobs.patience;
        if self.engaged > 0 {
            // With more, two processes of wide phases and of serial ones of 20 ms kept all tokens through
            // the latter now and then.
            self.release.patience(within).min(self.knobs.hold / 2)
        } else if self.is_called() {
            // Of such calls the end is not announced either, and found out later.
            self.release.patience(4 * without)
        } else {
            // Between two calls as well somebody may be waiting for the tokens. Where each is announced no more
            // than this is left of the 2 ms that the bench `latency` allows; gaps of 1 ms are shorter still.
            let longest = if self.anchored { Nanos::MAX } else { 5 * without / 2 };
            self.release.patience_between(without).min(longest)
        }
    }

    /// Whether all that is left of the pool is one worker that must not be parked.
    fn keeps_watch(&self) -> bool {
        self.admitted == 1 && self.sweep.in_turn.is_none() && self.floor() == 1
    }

    /// Notes activity: nothing that was parked before has seen what it may have brought.
    fn touch(&mut self, now: Nanos) {
        self.growth.stirred(now);
        self.touch_lightly(now);
    }

    /// Notes that what goes on still does: no more has changed than may have before.
    fn touch_lightly(&mut self, now: Nanos) {
        self.slack_since = now;
        self.failed_at = None;
        self.came_back = false;
        self.forgone.forget();
        if !self.roster.any_stale(self.epoch) {
            self.sweep.since = now;
        }
        self.epoch += 1;
        self.release.reset();
        self.heart.quiet = 0;
        self.heart.looked = None;
        self.sweep.repeats = 0;
        self.heart.beat = self.knobs.beat.0;
        self.heart.at = now + self.heart.beat;
    }

    /// Plans the next looks at workers that have just run on our account.
    fn watch_from(&mut self, now: Nanos) {
        self.rest(now);
        // One that cannot be watched, or is asked whether its wait is over, is woken at every beat,
        // however soon it sleeps.
        let woken = self.heart.blind || self.waiting;
        self.heart.since = now;
        self.heart.looked = None;
        self.heart.at =
            now + if woken { self.heart.beat.min(self.knobs.beat.1) } else { self.search_time() };
    }
}

/// Without a branch for each, since every call of a pool asks for this twice.
fn earliest<const N: usize>(times: [Option<Nanos>; N]) -> Option<Nanos> {
    let first =
        times.into_iter().fold(Nanos::MAX, |first, time| first.min(time.unwrap_or(Nanos::MAX)));
    (first < Nanos::MAX).then_some(first)
}
