//! The sweep: after every activity each parked worker gets a turn to look at its own queues.
//!
//! rayon puts a broadcast into the queues of all its workers, parked or not, and nothing tells us
//! of it. A turn runs what lies there and costs a few microseconds where there is nothing.

use super::{Nanos, Orders, Phase, Policy, Verdict, Wake};
use crate::jobserver::Market;

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
        debug_assert!(self.turning > 0, "a turn ended that never began");
        self.turning -= 1;
        if self.ended {
            return Verdict::Stay;
        }
        if ran {
            self.touch(now);
        }
        if let Some(next) = self.roster.take_stale(self.sweep_to) {
            self.roster.park_cold(worker, self.epoch);
            self.turn(now, next, out);
            return Verdict::Park;
        }
        if self.phase == Phase::Slack {
            self.probe_at = None;
            self.listen_later(now);
        }
        if market.rival_starving || (self.admitted == 1 && self.floor() == 0) {
            self.roster.park_cold(worker, self.epoch);
            self.retire(now, out);
            return Verdict::Park;
        }
        Verdict::Stay
    }

    pub(super) fn sweep_is_due(&self, now: Nanos) -> bool {
        let stale = self.roster.any_stale(self.epoch);
        let soon = self.broadcast || now >= self.slack_since + self.knobs.sweep;
        self.turning == 0 && (self.rotate || (stale && soon))
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
        self.broadcast = false;
        self.rotate = false;
        self.sweep_to = self.epoch;
        let Some(first) = self.roster.take_oldest() else {
            return Verdict::Stay;
        };
        self.park(now, worker, nested);
        self.settle(now);
        self.turn(now, first, out);
        Verdict::Park
    }

    fn turn(&mut self, now: Nanos, worker: usize, out: &mut Orders) {
        self.tally.turns += 1;
        self.turning += 1;
        // A turn takes a few microseconds unless there was work: then more workers may be of use.
        self.probe_at = Some(now + 4 * self.knobs.tau);
        out.wake.push((worker, Wake::Turn));
    }
}
