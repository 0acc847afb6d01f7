//! Fair share: a pool that is busy throughout offers a token to others now and then.
//!
//! Busy workers look at nothing but their own queues, so all are summoned by a copy of a job in the
//! queue of each, as rayon broadcasts; the first that comes to it parks, and what funded it goes
//! back. If nobody has taken it a moment later the pool fetches it again. Within one long call that
//! may be far off: there a worker may come in the midst of a job, if the program lets it.
//!
//! Parked workers come to their turns by that, too, and those that wait for a latch. In a pool where nobody is
//! ever idle nothing else looks after them, so that one that must not give way summons its workers as well.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Nanos, Orders, Policy, Verdict};
use crate::jobserver::Market;

/// How often tokens are offered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// A token is held for so long before it is offered, if others take what is offered: who holds
    /// twice as many offers twice as often, so that the shares of equals approach each other.
    pub(crate) term: Nanos,
    /// The shortest and the longest pause between two offers, however many tokens are held and
    /// however long nobody has wanted one.
    pub(crate) pause: (Nanos, Nanos),
    /// How long an offered token lies there before it is fetched back.
    pub(crate) offer: Nanos,
    /// Whether others get anything. If not, workers are summoned for those of the pool that are parked.
    pub(crate) gives: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The workers are summoned at this instant, if there is one.
    Waiting(Option<Nanos>),
    /// They have been summoned, and none has come yet.
    Summoned,
    /// One has parked; its fund pays for turns of the others before it goes back, if it does.
    Leaving,
    /// A token has gone back; at this instant it shows whether somebody took it.
    Offered(Nanos),
}

/// How a worker leaves that makes way for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// With nothing in its own queue, be it that it waits for a latch.
    Idle { nested: bool },
    /// In the midst of a job.
    Amid,
}

/// So many copies of the summons for each worker, and no more are posted as long as those come who are amid a job.
const COPIES: usize = 8;

#[derive(Debug)]
pub(super) struct Lease {
    /// `None` if nobody is ever summoned.
    pace: Option<Pace>,
    stage: Stage,
    /// Offers in a row that nobody took.
    refused: u32,
    /// The last worker that came made room for one that waits for a latch, not for others.
    swapped: bool,
    /// The last one was in the midst of a job.
    amid: bool,
    /// How many copies of the summons lie in the workers' queues.
    copies: usize,
}

impl Lease {
    pub(super) fn new(pace: Option<Pace>) -> Self {
        Lease {
            pace,
            stage: Stage::Waiting(None),
            // What is offered to nobody is never taken.
            refused: if pace.is_some_and(|pace| pace.gives) { 0 } else { u32::MAX },
            swapped: false,
            amid: false,
            copies: 0,
        }
    }

    /// When the policy is to look after the lease.
    pub(super) fn due(&self) -> Option<Nanos> {
        match self.stage {
            Stage::Waiting(at) => at,
            Stage::Summoned | Stage::Leaving => None,
            Stage::Offered(until) => Some(until),
        }
    }

    /// Whether others may have what funds a worker that is summoned.
    fn gives(&self) -> bool {
        self.pace.is_some_and(|pace| pace.gives)
    }

    /// Whether a token goes back once the parked workers have had their turns.
    pub(super) fn is_leaving(&self) -> bool {
        self.stage == Stage::Leaving && self.gives()
    }

    pub(super) fn is_offering(&self) -> bool {
        matches!(self.stage, Stage::Offered(_))
    }

    /// Waits for the next time, with so many funds at hand.
    fn wait(&mut self, now: Nanos, funds: usize) {
        let at =
            self.pace.filter(|_| funds > 1).map(|Pace { term, pause: (least, most), .. }| {
                let pause = (term / (funds as Nanos - 1)).max(least) << self.refused.min(16);
                now + scatter(pause, now).min(most)
            });
        self.stage = Stage::Waiting(at);
    }

    /// Waits as briefly as ever: whoever came was of more use here, for which others need not wait longer.
    /// Never twice in a row, since each summons leaves a copy in the queue of every parked worker.
    fn wait_briefly(&mut self, now: Nanos, funds: usize) {
        self.wait(now, funds);
        if let (Stage::Waiting(Some(at)), Some(pace)) = (&mut self.stage, self.pace) {
            *at = (*at).min(now + pace.pause.0);
        }
    }

    /// There is a fund more or less.
    pub(super) fn funds_changed(&mut self, now: Nanos, funds: usize) {
        match self.stage {
            Stage::Waiting(Some(_)) if funds > 1 => {}
            Stage::Waiting(_) => {
                self.wait(now, funds);
                // Calls shorter than this are over before others could use a token.
                if let (Stage::Waiting(Some(at)), Some(pace)) = (&mut self.stage, self.pace) {
                    *at = (*at).max(now + pace.term);
                }
            }
            Stage::Summoned | Stage::Leaving | Stage::Offered(_) => {}
        }
    }
}

/// Between half of a pause and one and a half times as much, by the instant at which it begins. Two pools
/// that took exact pauses would fall into step, and one of them have the token between them most of the time.
fn scatter(pause: Nanos, now: Nanos) -> Nanos {
    let mut hasher = DefaultHasher::new();
    now.hash(&mut hasher);
    pause / 2 + pause / 1024 * (hasher.finish() % 1024)
}

impl Policy {
    /// Summons the workers if it is time, or looks what became of the token that was offered.
    pub(super) fn tend_lease(&mut self, now: Nanos, market: Market, out: &mut Orders) {
        if self.lease.due().is_none_or(|at| at > now) {
            return;
        }
        match self.lease.stage {
            Stage::Waiting(_) if self.draining || !self.has_use_for_summonses(market) => {
                self.lease.wait(now, self.funds);
            }
            Stage::Waiting(_) => {
                self.lease.stage = Stage::Summoned;
                if !self.lease.amid || self.lease.copies < COPIES * self.workers {
                    self.lease.copies += self.workers;
                    out.summon = true;
                }
            }
            Stage::Offered(_) => {
                if market.contended() {
                    self.lease.refused = 0;
                    self.release.others_took_an_offer();
                } else {
                    self.lease.refused += 1;
                }
                self.lease.wait(now, self.funds);
                out.take.funds += self.absences.yielding();
            }
            Stage::Summoned | Stage::Leaving => {}
        }
    }

    /// Whether anybody may be waiting for what a worker leaves that is summoned.
    fn has_use_for_summonses(&self, market: Market) -> bool {
        // While a token lies there, no other process waits for one.
        if self.lease.gives() {
            return market.contended();
        }
        // A copy in the queue of a thread that does not come back would keep rayon's pool alive.
        let comes_back = !self.adopted;
        comes_back && (self.roster.len() > 0 || self.absences.queued() > 0)
    }

    /// Whether the workers are summoned to offer a token, and none has come yet.
    pub(crate) fn summons(&self) -> bool {
        self.lease.stage == Stage::Summoned && self.lease.gives()
    }

    /// A worker has come because all were summoned.
    pub(crate) fn summoned(
        &mut self,
        now: Nanos,
        worker: usize,
        nested: bool,
        out: &mut Orders,
    ) -> Verdict {
        self.lease.copies = self.lease.copies.saturating_sub(1);
        let verdict = self.make_way(now, worker, Leave::Idle { nested }, out);
        if self.lease.copies == 0 && self.lease.stage == Stage::Summoned {
            // All who came were away, or in their turns.
            self.lease.wait(now, self.funds);
        }
        verdict
    }

    /// A worker in the midst of a job may be spared for a while.
    pub(crate) fn yields(&mut self, now: Nanos, worker: usize, out: &mut Orders) -> Verdict {
        self.make_way(now, worker, Leave::Amid, out)
    }

    /// A worker makes way, if all are summoned to offer a token.
    fn make_way(&mut self, now: Nanos, worker: usize, leave: Leave, out: &mut Orders) -> Verdict {
        let admitted = self.roster.is_outside(worker) && !self.in_turn(worker);
        let gives = self.lease.gives();
        let asked = self.lease.stage == Stage::Summoned && (gives || leave != Leave::Amid);
        if self.ended || !asked || !admitted {
            return Verdict::Stay;
        }
        if self.admitted < 2 || self.sweep.in_turn.is_some() {
            self.lease.wait(now, self.funds);
            return Verdict::Stay;
        }
        self.lease.amid = leave == Leave::Amid;
        // Those who made way in the midst of a job are not to hand one fund round for ever, but let others have it.
        let amid = if self.lease.amid { self.absences.yielding() } else { 0 };
        if self.absences.queued() > amid {
            self.step_aside(now, worker, leave, out);
            self.hand_to_returned(now, out);
            self.lease.wait(now, self.funds);
            return Verdict::Park;
        }
        // One that waits for a latch comes to its turn too, every other time: in a pool that is
        // never slack nobody else looks after it.
        self.lease.swapped = !self.lease.swapped && self.roster.any_nested();
        if self.lease.swapped
            && let Some(next) = self.roster.take_any_nested()
        {
            self.step_aside(now, worker, leave, out);
            self.hand_over(now, next, out);
            self.lease.wait_briefly(now, self.funds);
            return Verdict::Park;
        }
        let first = self.roster.take_oldest();
        if first.is_none() && !gives {
            self.lease.wait(now, self.funds);
            return Verdict::Stay;
        }
        self.lease.stage = Stage::Leaving;
        // Everybody has a copy of the summons, and perhaps of a broadcast nobody announced.
        self.epoch += 1;
        self.step_aside(now, worker, leave, out);
        match first {
            Some(first) => self.sweep_from(now, first, out),
            None => self.offer(now, out),
        }
        Verdict::Park
    }

    fn step_aside(&mut self, now: Nanos, worker: usize, leave: Leave, out: &mut Orders) {
        match leave {
            Leave::Idle { nested } => self.park(now, worker, nested),
            Leave::Amid => self.step_back(now, worker, out),
        }
    }

    /// A worker has parked to offer what funded it, and nobody in the pool has a use for it.
    pub(super) fn offer(&mut self, now: Nanos, out: &mut Orders) {
        let until = now + self.lease.pace.map_or(0, |pace| pace.offer);
        self.tally.offers += 1;
        self.growth.hold(until);
        self.retire(now, out);
        self.withdraw(now);
        self.lease.stage = Stage::Offered(until);
    }

    /// Whoever was to leave for an offer stays, or makes room for another.
    pub(super) fn forget_offer(&mut self, now: Nanos) {
        if self.lease.stage == Stage::Leaving {
            self.lease.wait(now, self.funds);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1_000_000;
    const TOKENS: usize = 4;
    const PACE: Pace = Pace {
        term: 100 * MILLISECOND,
        pause: (10 * MILLISECOND, 400 * MILLISECOND),
        offer: 2 * MILLISECOND,
        gives: true,
    };

    /// The first one's part, in thousandths, of what two busy pools have in 20 s if each takes whatever the
    /// other offers. The first one has all tokens at first.
    fn share(begin: Nanos) -> Nanos {
        let mut leases = [Lease::new(Some(PACE)), Lease::new(Some(PACE))];
        let (mut funds, mut had) = ([1 + TOKENS, 1], [0, 0]);
        let mut now = begin;
        leases[0].funds_changed(now, funds[0]);
        while now < begin + 20_000 * MILLISECOND {
            let due = |pool: &usize| leases[*pool].due().unwrap_or(Nanos::MAX);
            let giver = [0, 1].into_iter().min_by_key(due).expect("there are two");
            let then = due(&giver).max(now) + PACE.offer;
            for (had, funds) in had.iter_mut().zip(funds) {
                *had += funds as Nanos * (then - now);
            }
            now = then;
            funds[giver] -= 1;
            leases[giver].wait(now, funds[giver]);
            funds[1 - giver] += 1;
            leases[1 - giver].funds_changed(now, funds[1 - giver]);
        }
        had[0] * 1_000 / (had[0] + had[1])
    }

    #[test]
    fn two_busy_pools_do_not_fall_into_step() {
        let shares: Vec<_> = (0..20).map(|start| share(start * 1_234_567)).collect();
        assert!(shares.iter().all(|share| (480..=520).contains(share)), "{shares:?}");
    }

    #[test]
    fn each_token_is_offered_once_a_term_on_average() {
        for tokens in [1, 2, 4] {
            let mut lease = Lease::new(Some(PACE));
            let pauses = (0..1_000).map(|millisecond| {
                let now = millisecond * MILLISECOND;
                lease.wait(now, 1 + tokens as usize);
                lease.due().expect("there is a token to offer") - now
            });
            let mean = pauses.sum::<Nanos>() / 1_000;
            let term = PACE.term / tokens;
            assert!(mean.abs_diff(term) < term / 20, "{mean} ns for {tokens}");
        }
    }

    #[test]
    fn a_pool_that_wins_or_loses_a_token_puts_its_next_offer_off_no_further() {
        let mut lease = Lease::new(Some(PACE));
        lease.funds_changed(0, 3);
        let due = lease.due();
        assert!(due >= Some(PACE.term), "a call shorter than a term offers nothing");
        for funds in [4, 2] {
            lease.funds_changed(PACE.term / 2, funds);
            assert_eq!(lease.due(), due, "with {funds} funds");
        }
        lease.funds_changed(PACE.term / 2, 1);
        assert_eq!(lease.due(), None, "the last fund is not offered");
    }
}
