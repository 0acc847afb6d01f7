//! The gate: events on their way to a policy, and what its verdicts do to workers.

use std::fmt::Debug;

use super::Nanos;
use super::hints::Hints;
use super::machine::Job;
use super::worker::{Frame, Mode};
use super::world::World;
use crate::governor::policy::{Judged, Orders, Policy, Sighting, Verdict, Wake};
use crate::jobserver::Market;

impl World {
    /// Tells a policy of an event and does what it orders.
    pub(super) fn tell<R: Debug>(
        &mut self,
        pool: usize,
        name: &str,
        event: impl FnOnce(&mut Policy, Nanos, Market, &mut Orders) -> R,
    ) -> R {
        let (now, market) = (self.now, self.market(pool));
        let mut orders = Orders::default();
        let outcome = event(&mut self.pools[pool].policy, now, market, &mut orders);
        self.trace(pool, &(name, &outcome), &orders);
        if self.carry_out(pool, orders) {
            self.ring(pool);
        }
        outcome
    }

    /// As [`tell`](Self::tell), for an event whose outcome is about a worker. It is entered as
    /// parked before anybody is woken: it may be called at once.
    pub(super) fn rule(
        &mut self,
        pool: usize,
        worker: usize,
        name: &str,
        event: impl FnOnce(&mut Policy, Nanos, Market, &mut Orders) -> Verdict,
    ) {
        let (now, market) = (self.now, self.market(pool));
        let mut orders = Orders::default();
        let home = &mut self.pools[pool];
        let verdict = event(&mut home.policy, now, market, &mut orders);
        self.trace(pool, &(name, worker, verdict), &orders);
        let home = &mut self.pools[pool];
        let me = &mut home.workers[worker];
        let funded = verdict == Verdict::Stay && !home.policy.absences.has_gone(worker);
        home.admitted -= usize::from(me.funded);
        home.admitted += usize::from(funded);
        me.funded = funded;
        if verdict == Verdict::Park {
            me.stack.push(Frame::Gate);
            me.mode = Mode::Gated;
        } else {
            me.mode = Mode::Running;
            self.go_on(pool, worker);
        }
        if self.carry_out(pool, orders) {
            self.ring(pool);
        }
    }

    /// Prints an event, what it led to and where it left the policy.
    pub(super) fn trace(&self, pool: usize, event: &dyn Debug, orders: &Orders) {
        if self.traced {
            let Policy { phase, admitted, funds, probes, engaged, .. } = &self.pools[pool].policy;
            eprintln!(
                "{:>12} pool {pool} {event:?} {orders:?} {phase:?} admitted {admitted} of {funds}, \
                 probes {probes}, engaged {engaged}",
                self.now
            );
        }
    }

    pub(super) fn anchor(&mut self, pool: usize) {
        self.tell(pool, "anchor", |_, _, _, orders| orders.take.funds += 1);
    }

    pub(super) fn enter(&mut self, pool: usize) {
        self.tell(pool, "enter", |policy, now, _, orders| policy.enter(now, orders));
    }

    pub(super) fn leave(&mut self, pool: usize) {
        self.tell(pool, "leave", |policy, now, _, orders| policy.leave(now, orders));
    }

    pub(super) fn granted(&mut self, pool: usize) {
        // A holder that has closed its account is told nothing more.
        if !self.pools[pool].governor.over {
            self.tell(pool, "granted", |_, _, _, _| ());
        }
    }

    pub(super) fn announce(&mut self, pool: usize, broadcast: usize) {
        if !std::mem::replace(&mut self.announcements[broadcast], true) {
            self.tell(pool, "broadcast", |policy, now, _, orders| policy.broadcast(now, orders));
        }
    }

    /// The owner drops a pool.
    pub(super) fn drop_pool(&mut self, pool: usize) {
        let home = &mut self.pools[pool];
        home.dropped = true;
        if home.adopts {
            home.admitted -= usize::from(std::mem::take(&mut home.workers[0].funded));
        }
        self.tell(pool, "drain", |policy, now, _, orders| policy.drain(now, orders));
    }

    /// A worker's start handler.
    pub(super) fn start(&mut self, pool: usize, worker: usize) {
        let (now, tells) = (self.now, self.tells);
        let me = &mut self.pools[pool].workers[worker];
        if tells {
            me.record.survey(me.usage(now, false));
        }
        self.rule(pool, worker, "started", |policy, now, _, _| policy.started(now, worker));
    }

    /// A worker has taken a probe.
    pub(super) fn probe(&mut self, pool: usize, worker: usize) {
        let home = &mut self.pools[pool];
        let workers = home.workers.len();
        let lain = self.now - home.governor.posted_at;
        let me = &mut home.workers[worker];
        let usage = me.usage(self.now, true);
        let (judged, late) = if self.tells {
            let late = me.is_late(usage, lain);
            (me.record.judge(usage, workers), late)
        } else {
            (Judged::Quiet, false)
        };
        let nested = self.seems_nested(pool, worker);
        let home = &mut self.pools[pool];
        let me = &mut home.workers[worker];
        if let Some(place) = me.nap.end(usage.cpu).filter(|_| !nested) {
            home.governor.berth.learn(place);
        }
        let depth = me.stack.len();
        let moved = std::mem::replace(&mut me.probed_at, depth) != depth;
        let sighting = Sighting { worker, nested, moved, judged, late };
        self.rule(pool, worker, "taken", |policy, now, market, orders| {
            policy.taken(now, market, sighting, orders)
        });
        self.release(pool);
    }

    /// A worker has come to its copy of a summons.
    pub(super) fn summon(&mut self, pool: usize, worker: usize) {
        let nested = self.seems_nested(pool, worker);
        self.may_leave(pool, worker, "summoned", |policy, now, _, orders| {
            policy.summoned(now, worker, nested, orders)
        });
        self.release(pool);
    }

    /// A worker lets others have its token in the midst of a job.
    pub(super) fn yield_token(&mut self, pool: usize, worker: usize) {
        self.may_leave(pool, worker, "yields", |policy, now, _, orders| {
            policy.yields(now, worker, orders)
        });
    }

    /// As [`rule`](Self::rule), for a worker that may have nothing to offer.
    fn may_leave(
        &mut self,
        pool: usize,
        worker: usize,
        name: &str,
        event: impl FnOnce(&mut Policy, Nanos, Market, &mut Orders) -> Verdict,
    ) {
        let home = &self.pools[pool];
        let in_turn = home.policy.in_turn(worker);
        if home.workers[worker].funded && !in_turn {
            return self.rule(pool, worker, name, event);
        }
        let verdict = self.tell(pool, name, event);
        assert_eq!(verdict, Verdict::Stay, "unfunded, or in its turn: {in_turn}");
        self.go_on(pool, worker);
    }

    fn seems_nested(&mut self, pool: usize, worker: usize) -> bool {
        let home = &self.pools[pool];
        match self.hints {
            // Nobody can measure the stack of a thread that came to be a worker.
            Hints::Right => home.workers[worker].stack.len() > 1 || (home.adopts && worker == 0),
            Hints::Nested => true,
            Hints::Top => false,
            Hints::Random => self.dice.percent(50),
        }
    }

    /// A parked worker has been woken.
    pub(super) fn called(&mut self, pool: usize, worker: usize) {
        let me = &mut self.pools[pool].workers[worker];
        me.mode = Mode::Running;
        match me.call.take().expect("only a call wakes a parked worker") {
            Wake::Work => {
                let me = &mut self.pools[pool].workers[worker];
                me.record.begin(me.usage(self.now, true));
                me.stack.pop();
                self.tell(pool, "resumed", |policy, now, _, _| policy.resumed(now));
                self.go_on(pool, worker);
            }
            Wake::Leave | Wake::Loose => {
                me.stack.pop();
                self.go_on(pool, worker);
            }
            Wake::Turn => {
                me.stack.pop();
                me.stack.push(Frame::Turn { ran: false });
                self.go_on(pool, worker);
            }
        }
    }

    /// `run_own_jobs`, one job at a time.
    pub(super) fn take_turn(&mut self, pool: usize, worker: usize) {
        let job = self.take_local(pool, worker);
        let Some(Frame::Turn { ran }) = self.pools[pool].workers[worker].stack.last_mut() else {
            unreachable!("only a worker in its turn takes one");
        };
        if let Some(job) = job {
            *ran |= !matches!(job, Job::Summons);
            return self.execute(pool, worker, job);
        }
        let ran = *ran;
        let now = self.now;
        let me = &mut self.pools[pool].workers[worker];
        me.stack.pop();
        me.record.begin(me.usage(now, true));
        self.rule(pool, worker, "turned", |policy, now, market, orders| {
            policy.turned(now, market, worker, ran, orders)
        });
    }
}
