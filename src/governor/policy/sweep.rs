//! The sweep: after every activity each parked worker gets a turn to look at its own queues.
//!
//! rayon puts a broadcast into the queues of all its workers, parked or not, and nothing tells us
//! of it. A turn runs what lies there and costs a few microseconds where there is nothing.

use super::{Nanos, Orders, Phase, Policy, Verdict, Wake};
use crate::jobserver::Market;

/// So many times sooner the next sweep comes if the last one found something: each broadcast of a loop that nobody
/// announces waits for one where there are fewer tokens than workers.
const SOONER: Nanos = 8;

/// Where the sweeps of a pool stand.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The epoch up to which the one under way brings the parked workers.
    to: u64,
    /// Since when parked workers wait for a turn, or the last sweep began.
    pub(super) since: Nanos,
    /// When the last one began, and whether it has found nothing.
    pub(super) at: Nanos,
    barren: bool,
    /// So many in the one under way had something in their queues, and whether any had in the last one.
    found: usize,
    fruitful: bool,
    /// Who has a turn, and since when.
    pub(super) in_turn: Option<usize>,
    in_turn_since: Nanos,
    /// No call was under way when the last one began.
    at_rest: bool,
    /// A call has begun since the sweep under way did: each turn puts its probe off.
    pub(super) called: bool,
    /// The next one is a single turn, of the worker parked longest.
    pub(super) rotate: bool,
    /// A broadcast was announced, or may have been what a lookout ran, or a call broke the last sweep off: sweep without
    /// waiting.
    pub(super) announced: bool,
    /// Those since the last activity beyond the first.
    pub(super) repeats: u32,
}

impl Policy {
    /// A worker has run what lay in its own queues. `ran` says whether there was anything.
    pub(crate) fn turned(
        &mut self,
        now: Nanos,
        market: Market,
        worker: usize,
        ran: bool,
        out: &mut Orders,
    ) -> Verdict {
        let in_turn = self.in_turn(worker);
        if in_turn {
            self.sweep.in_turn = None;
        }
        if self.ended || self.absences.has_gone(worker) {
            return Verdict::Stay;
        }
        if self.strays(now, worker, false, out) {
            return Verdict::Park;
        }
        if ran {
            self.sweep.barren = false;
            self.sweep.found += 1;
            self.touch(now);
        }
        if !in_turn {
            return Verdict::Stay;
        }
        if self.claims() > 0 {
            self.forget_offer(now);
            self.roster.park_cold(worker, self.epoch);
            self.hand_to_returned(now, out);
            return Verdict::Park;
        }
        // Nobody else could take up the call. Whoever has not had a turn is next once an idle worker is found again.
        let breaks_off = self.sweep.called && self.sweep.at_rest && self.admitted == 1;
        if breaks_off && self.roster.any_stale(self.sweep.to) {
            self.sweep.announced = true;
        } else if let Some(next) = self.roster.take_stale(self.sweep.to) {
            self.roster.park_cold(worker, self.epoch);
            self.turn(now, next, out);
            return Verdict::Park;
        }
        self.call_for_those_found(market, out);
        if self.phase == Phase::Slack {
            self.looks.probe_at = None;
            self.looks.at = None;
            self.listen_later(now);
            self.watch_from(now);
            if std::mem::take(&mut self.sweep.called) {
                self.probe_for_call(now);
            }
        }
        if self.lease.is_leaving() && self.admitted > 1 {
            self.roster.park_cold(worker, self.epoch);
            self.offer(now, out);
            return Verdict::Park;
        }
        self.forget_offer(now);
        if market.rival_starving || (self.admitted == 1 && self.floor() == 0) {
            self.roster.park_cold(worker, self.epoch);
            self.retire(now, out);
            return Verdict::Park;
        }
        // A lookout is as good as any other, and one that is woken now would seem to have been called.
        if (self.engaged > 0 || self.admitted > 1)
            && !self.growth.is_lulled()
            && let Some(warmer) = self.roster.take_warmer(worker)
        {
            self.roster.park_cold(worker, self.epoch);
            self.waking += 1;
            out.wake.push((warmer, Wake::Work));
            return Verdict::Park;
        }
        Verdict::Stay
    }

    /// Those that had something in their queues, where nobody else finds it, are of use if that goes on: a loop of
    /// broadcasts that nobody announces.
    fn call_for_those_found(&mut self, market: Market, out: &mut Orders) {
        let found = std::mem::take(&mut self.sweep.found).min(self.roster.len());
        self.sweep.fruitful = found > 0;
        if found > 0 && self.is_callable() && market.lying > 0 && !self.lease.is_offering() {
            out.take.funds += found;
            out.take.resuming = true;
        }
    }

    /// When to sweep a pool once more that has shown no activity since it was swept.
    ///
    /// A call that nobody announces may leave too little behind to be seen: it costs an idle
    /// worker no more than a probe does. So the sweeps go on for a while, at growing intervals.
    pub(super) fn next_resweep(&self) -> Option<Nanos> {
        let (next, most) = (self.sweep.repeats + 1, self.knobs.resweeps);
        // As long as somebody waits, here or outside, something is unfinished: then the sweeps
        // never end, or what they have overlooked would hang.
        let unfinished = self.engaged > 0 || self.waiting || self.roster.any_nested();
        let more = unfinished || (self.anchored && next <= most);
        let beyond = Nanos::from(next.saturating_sub(most));
        let pause = (self.knobs.sweep << next.min(most)) * (beyond + 1);
        let possible = self.sweep.in_turn.is_none() && self.roster.len() > 0;
        (more && possible).then(|| (self.slack_since + pause).max(self.after_barren_sweep()))
    }

    /// Before that nobody is swept once more within a call in which the last sweep has found nothing.
    fn after_barren_sweep(&self) -> Nanos {
        let within = self.sweep.barren && self.engaged > 0;
        if within { self.sweep.at + self.turns() } else { 0 }
    }

    /// How long the turns of all who are parked are to take at most, and then some.
    fn turns(&self) -> Nanos {
        2 * self.knobs.sweep * self.roster.len() as Nanos
    }

    /// Somebody has run beside the last sweep, or may have, and no call is under way: what a job has spawned is a job
    /// that nobody is told of, and a broadcast by it lies in the queues of workers that have had their turns. Only a
    /// sweep beside which nobody runs finds all of that before the pool comes to rest.
    pub(super) fn sweep_once_more(&mut self, now: Nanos) {
        if self.is_callable() {
            return;
        }
        if !self.roster.any_stale(self.epoch) {
            self.sweep.since = now;
        }
        self.epoch += 1;
    }

    /// Makes every parked worker due for a turn, if it is time.
    pub(super) fn plan_resweep(&mut self, now: Nanos) {
        if self.next_resweep().is_some_and(|at| at <= now) {
            self.sweep.repeats += 1;
            self.epoch += 1;
        }
    }

    /// When the parked workers get their turns, if they have any coming.
    ///
    /// In a pool that is never slack for long too, or whose pulse beats: calls may come without a pause,
    /// and a parked worker's part of a broadcast must not wait for their end. However many are parked, their
    /// turns must not become the main occupation, nor follow each other closely within a call in
    /// which they find nothing.
    pub(super) fn sweep_at(&self) -> Nanos {
        if self.came_back {
            return self.sweep.at + 50 * self.knobs.sweep;
        }
        let beside_calls = self.sweep.since + self.turns().max(50 * self.knobs.sweep);
        if self.is_silent() && self.is_called() {
            return beside_calls;
        }
        let pause = if self.sweep.fruitful { self.knobs.sweep / SOONER } else { self.knobs.sweep };
        (self.idle_since() + pause).min(beside_calls).max(self.after_barren_sweep())
    }

    pub(super) fn sweep_is_due(&self, now: Nanos) -> bool {
        let stale = self.roster.any_stale(self.epoch);
        let soon = self.sweep.announced || now >= self.sweep_at();
        self.sweep.in_turn.is_none() && (self.sweep.rotate || (stale && soon))
    }

    /// Parks an idle worker and lets every parked one look at its own queues, one after another
    /// on the same fund.
    pub(super) fn begin_sweep(
        &mut self,
        now: Nanos,
        worker: usize,
        nested: bool,
        out: &mut Orders,
    ) -> Verdict {
        self.sweep.announced = false;
        self.sweep.rotate = false;
        let Some(first) = self.roster.take_oldest() else {
            // Everybody was admitted since the turn was planned; the probe is gone all the same.
            self.settle(now);
            return Verdict::Stay;
        };
        self.park(now, worker, nested);
        // It found its own queues empty when it came to the probe, and others may have run since.
        self.sweep_once_more(now);
        self.settle(now);
        self.sweep_from(now, first, out);
        Verdict::Park
    }

    /// Gives every parked worker a turn that has not had one, beginning with this one.
    pub(super) fn sweep_from(&mut self, now: Nanos, first: usize, out: &mut Orders) {
        self.sweep.to = self.epoch;
        self.sweep.since = now;
        self.sweep.at = now;
        self.sweep.barren = true;
        self.sweep.found = 0;
        self.sweep.at_rest = self.engaged == 0;
        self.sweep.called = false;
        self.came_back = false;
        self.turn(now, first, out);
    }

    /// Whoever waits in its turn, for other jobs or in the program, has found more there than is run in passing.
    /// It is a worker like any other from then on: those it waits for may need a turn themselves.
    pub(super) fn end_turn_of(&mut self, now: Nanos, worker: usize) {
        if self.in_turn(worker) {
            self.sweep.in_turn = None;
            // The others are due as before, and so are those that had their turns before this came to light.
            self.epoch += 1;
            self.sweep.announced = true;
            self.forget_offer(now);
        }
    }

    pub(super) fn in_turn(&self, worker: usize) -> bool {
        self.sweep.in_turn == Some(worker)
    }

    /// When a turn is too long to be one, while nobody but this worker is known to be busy.
    pub(super) fn turn_until(&self) -> Option<Nanos> {
        let (_, longest) = self.knobs.look;
        self.sweep.in_turn.map(|_| self.sweep.in_turn_since + longest)
    }

    /// The same for one that computes on and on: nobody would keep watch meanwhile.
    pub(super) fn end_long_turn(&mut self, now: Nanos) {
        if self.turn_until().is_some_and(|at| at <= now)
            && let Some(worker) = self.sweep.in_turn
        {
            self.end_turn_of(now, worker);
            self.watch_from(now);
        }
    }

    /// Gives a turn to this worker alone.
    pub(super) fn turn_alone(&mut self, now: Nanos, worker: usize, out: &mut Orders) {
        self.sweep.to = 0;
        self.turn(now, worker, out);
        // The pool is not slack.
        self.looks.probe_at = None;
    }

    fn turn(&mut self, now: Nanos, worker: usize, out: &mut Orders) {
        self.tally.turns += 1;
        self.sweep.in_turn = Some(worker);
        self.sweep.in_turn_since = now;
        // A turn takes a few microseconds, once its worker is awake, unless there was work: then more workers may be
        // of use.
        self.looks.probe_at = Some(now + 4 * self.maturity.tau());
        out.wake.push((worker, Wake::Turn));
    }
}
