//! What must hold after every step, and within what time the rest must.

use super::dice::Weather;
use super::hints::Hints;
use super::jobserver::number;
use super::machine::Pool;
use super::worker::{Mode, Worker};
use super::world::World;
use super::{MILLISECOND, Nanos, SECOND};
use crate::governor::policy::rhythm::PAUSE;
use crate::governor::policy::{Knobs, Policy};
use crate::jobserver::Demand;

/// Probes that an idle global pool may post, and rounds that its governor may make, in the first second
/// of idleness and in a later one: its beats, and hardly a probe.
const IDLE: [(u64, u64); 2] = [(40, 560), (4, 100)];

/// The same where nobody can tell what threads run. Each beat posts a probe there and makes three rounds, or four if
/// the timer for when the probe would have lain for long can't be set anew once it is taken: 65 made 257 in one world.
const BLIND: [(u64, u64); 2] = [(80, 280), (60, 220)];

/// Probes that a pool may post a second while there is work.
const BUSY_PROBES: u64 = 10_000;

/// What is checked, and since when what should not last has lasted.
#[derive(Debug, Default)]
pub(super) struct Laws {
    /// Every how many steps everything is looked at; 0 means never.
    pub(super) stride: u64,
    /// Longest time a fund may lie free while a parked worker could run a queued job: at all, and within a call
    /// that was announced.
    unserved: Option<[Nanos; 2]>,
    /// Longest time a parked worker with work of its own may wait beside an idle one.
    neglected: Option<Nanos>,
    /// Longest time a pool that sees all calls, and has none, may keep tokens that somebody else waits for: at all, and
    /// after no loop of calls.
    withheld: Option<[Nanos; 2]>,
    /// Whether a pool must not end before its jobs.
    complete: bool,
    steps: u64,
    unserved_since: Vec<[Option<Nanos>; 2]>,
    neglected_since: Vec<Vec<Option<Nanos>>>,
    withheld_since: Vec<[Option<Nanos>; 2]>,
    /// Probes of each pool and rounds of its governor at some instant.
    noted: Vec<(u64, u64)>,
}

impl Laws {
    /// What holds whatever the gate takes for a worker that waits.
    pub(super) fn budget_alone(stride: u64) -> Self {
        Laws { stride, ..Laws::default() }
    }

    /// The same where a lookout may block in a call that nobody announced, which only a sweep
    /// tells from sleep.
    pub(super) fn patient(self) -> Self {
        Laws { unserved: self.neglected.map(|neglected| [neglected; 2]), ..self }
    }

    /// A tighter bound that processes of phases keep: 12,000 worlds of them keep one of 4.2 ms, too, but for what
    /// stalls add.
    pub(super) fn prompt(self, weather: Weather, knobs: Knobs) -> Self {
        let called = knobs.look.1 + 2 * MILLISECOND + 20 * weather.stall;
        Laws { unserved: self.unserved.map(|[any, _]| [any, called]), ..self }
    }

    /// The same where a pool in which nothing has changed for long looks more rarely for work. The last sweep may be
    /// long past: what comes just when a lookout takes a probe is then found out about by its beats.
    pub(super) fn lulled(self, knobs: Knobs) -> Self {
        let longest = knobs.rarest(false) + knobs.look.1;
        let unserved = self.unserved.map(|most| most.map(|most| most + longest));
        let beats = Nanos::from(knobs.rotation) * knobs.beat.1;
        Laws { unserved, neglected: self.neglected.map(|most| most + beats), ..self }
    }

    /// The same where every worker seems to wait for others, and is asked in its turn whether it still does.
    pub(super) fn unhinted(self) -> Self {
        Laws { withheld: None, ..self }
    }

    /// All that must hold.
    pub(super) fn all(weather: Weather, knobs: Knobs) -> Self {
        // A lookout that feels nothing is looked at every beat; a trial that has failed may add
        // its pause to that.
        let unserved = knobs.beat.1 + knobs.backoff.1 + 10 * MILLISECOND;
        // No beat is needed there, and a pool that is not saturated looks whether it should be.
        let unserved_called = knobs.look.1 + knobs.backoff.1 + 4 * MILLISECOND;
        // What nobody has noticed is found by the last sweeps.
        let neglected = (knobs.sweep << knobs.resweeps) + 50 * MILLISECOND;
        let stall = 20 * weather.stall;
        // Twice its patience at most, and what it takes to ask the workers.
        let withheld = 3 * MILLISECOND + stall + 10 * weather.wake.1;
        // A patrol may have been put off just before.
        let loops = PAUSE.1 * knobs.patience.0;
        Laws {
            unserved: Some([unserved + stall, unserved_called + stall]),
            neglected: Some(neglected + stall),
            withheld: Some([loops + withheld, withheld]),
            complete: true,
            ..Laws::budget_alone(1)
        }
    }
}

impl World {
    pub(super) fn check(&mut self) {
        self.laws.steps += 1;
        if self.laws.stride == 0 || !self.laws.steps.is_multiple_of(self.laws.stride) {
            return;
        }
        self.check_budget();
        if self.laws.steps.is_multiple_of(64) {
            self.check_conservation();
        }
        self.check_service();
        self.check_release();
    }

    /// No more workers are admitted than funds are there, in a pool and in a process.
    pub(super) fn check_budget(&self) {
        let mut admitted = vec![0; self.processes.len()];
        for (id, pool) in self.pools.iter().enumerate() {
            let policy = &pool.policy;
            if policy.ended() {
                // A thread that goes on within a pool it has left does what it adds by itself.
                let lingers = pool.adopts && !pool.workers[0].stack.is_empty();
                let early = self.laws.complete && pool.pieces > 0 && !lingers;
                assert!(!early, "pool {id} ended before its jobs: {policy:?}");
                continue;
            }
            assert_eq!(policy.funds(), pool.purse.len(), "pool {id}: {policy:?}");
            assert!(policy.admitted() <= policy.funds(), "pool {id}: {policy:?}");
            assert_eq!(policy.admitted(), pool.admitted, "pool {id}: {policy:?}");
            admitted[pool.process] += pool.admitted;
        }
        for (process, admitted) in self.processes.iter().zip(admitted) {
            assert!(admitted <= process.held + 1, "{admitted} of {} and one", process.held);
        }
    }

    /// Every token is in exactly one place.
    pub(super) fn check_conservation(&self) {
        let mut seen = vec![false; self.tokens];
        let mut note = |token: usize| {
            assert!(!std::mem::replace(&mut seen[token], true), "token {token} is in two places");
        };
        self.jobserver.lying.iter().for_each(|token| note(token.0));
        self.strangers
            .iter()
            .filter_map(|stranger| stranger.held.as_ref())
            .for_each(|held| note(held.0));
        let mut held = vec![0; self.processes.len()];
        let mut note_held = |process: usize, token: usize| {
            held[process] += 1;
            note(token);
        };
        for pool in &self.pools {
            pool.purse.iter().filter_map(number).for_each(|token| note_held(pool.process, token));
        }
        for (process, fund) in self.in_transit() {
            number(fund).into_iter().for_each(|token| note_held(process, token));
        }
        for (id, process) in self.processes.iter().enumerate() {
            process.inboxes.iter().flatten().for_each(|&token| note_held(id, token));
        }
        assert!(seen.iter().all(|seen| *seen), "a token is gone: {seen:?}");
        assert!(self.processes.iter().zip(&held).all(|(process, held)| process.held == *held));
    }

    /// Work meets workers before long.
    fn check_service(&mut self) {
        let now = self.now;
        let laws = &mut self.laws;
        let (Some(unserved), Some(neglected)) = (laws.unserved, laws.neglected) else { return };
        laws.unserved_since.resize(self.pools.len(), [None; 2]);
        laws.neglected_since.resize_with(self.pools.len(), Vec::new);
        for (id, pool) in self.pools.iter().enumerate() {
            let free = !self.jobserver.lying.is_empty() || self.processes[pool.process].own;
            let idle = pool.workers.iter().any(Worker::is_idle);
            let waiting = pool.queued > 0 && free && !idle && pool.workers.iter().any(is_parked);
            let called = waiting && pool.knows_of_call(now, unserved[0]);
            let since = laws.unserved_since[id].iter_mut();
            for ((since, holds), bound) in since.zip([waiting, called]).zip(unserved) {
                let lasted = lasts(since, holds, now);
                assert!(
                    lasted <= bound,
                    "at {now} pool {id} has had work and no worker for {lasted}: {pool:#?}"
                );
            }
            let neglected_since = &mut laws.neglected_since[id];
            neglected_since.resize(pool.workers.len(), None);
            for (worker, since) in pool.workers.iter().zip(neglected_since) {
                let own = !worker.mail.is_empty()
                    || worker.waits_for().is_some_and(|latch| self.latches[latch].is_set());
                let lasted = lasts(since, is_parked(worker) && own && idle, now);
                assert!(
                    lasted <= neglected,
                    "at {now} pool {id} has left a worker with work of its own parked for \
                     {lasted}: {pool:#?}"
                );
            }
        }
    }

    /// Whoever waits for a token gets one that lies idle.
    fn check_release(&mut self) {
        let Some(withheld) = self.laws.withheld else { return };
        let awaited = self.jobserver.is_awaited();
        self.laws.withheld_since.resize(self.pools.len(), [None; 2]);
        for (id, (since, pool)) in self.laws.withheld_since.iter_mut().zip(&self.pools).enumerate()
        {
            let Policy { engaged, absences, rhythm, .. } = &pool.policy;
            let sees_all = !pool.anchored && !pool.adopts && !absences.any();
            let idle = sees_all && pool.pieces == 0 && *engaged == 0;
            let keeps = pool.purse.iter().any(|fund| number(fund).is_some());
            let any = awaited && idle && keeps;
            let holds = [any, any && rhythm.patrol().is_none()];
            for ((since, holds), most) in since.iter_mut().zip(holds).zip(withheld) {
                let lasted = lasts(since, holds, self.now);
                assert!(
                    lasted <= most,
                    "at {} pool {id} has kept idle tokens from others for {lasted}: {pool:#?}",
                    self.now
                );
            }
        }
    }

    /// How much each pool has done about its gate so far, to be compared with later.
    pub(super) fn note_effort(&mut self) {
        self.laws.noted = self.pools.iter().map(effort).collect();
    }

    /// No storm of probes while there is work.
    pub(super) fn check_effort(&self) {
        for (id, pool) in self.pools.iter().enumerate() {
            // All look at their latches there, whether they wait for one or not.
            let least = if self.hints == Hints::Nested { 250 } else { 200 };
            let most = least + self.now * BUSY_PROBES / SECOND;
            let (probes, _) = effort(pool);
            assert!(probes <= most, "pool {id} posted {probes} by {}: {pool:#?}", self.now);
        }
    }

    /// A second of idleness has passed, the first one or another: nothing has stirred but the beats of
    /// global pools.
    pub(super) fn check_idleness(&self, first: bool) {
        assert!(self.is_at_rest(), "woke by itself: {self:#?}");
        let beats = if self.tells { IDLE } else { BLIND };
        for ((id, pool), before) in self.pools.iter().enumerate().zip(&self.laws.noted) {
            let (probes, rounds) = effort(pool);
            let (probes, rounds) = (probes - before.0, rounds - before.1);
            // A governor may sleep until a deadline that has since gone.
            let most = if pool.anchored { beats[usize::from(!first)] } else { (0, 1) };
            assert!(
                probes <= most.0 && rounds <= most.1,
                "an idle pool, {id}, posted {probes} probes in {rounds} rounds: {pool:#?}"
            );
        }
    }

    /// Whether idle pools hold nothing, nothing at all goes on in those that see all calls, and the threads of
    /// those that were dropped have ended.
    pub(super) fn is_at_rest(&self) -> bool {
        let still = |pool: &Pool| {
            let policy = &pool.policy;
            let idle = policy.deadline().is_none() && policy.demand() == Demand::default();
            let gone = pool.workers.iter().all(|worker| worker.mode == Mode::Gone);
            // A call in the queue of a thread that has left keeps the others asleep.
            let kept = pool.adopts && !pool.workers[0].mail.is_empty();
            (pool.anchored || idle)
                && policy.ended() == pool.dropped
                && (!pool.dropped || gone || kept)
        };
        self.processes.iter().all(|process| process.held == 0) && self.pools.iter().all(still)
    }
}

fn is_parked(worker: &Worker) -> bool {
    worker.mode == Mode::Gated && worker.call.is_none()
}

pub(super) fn effort(pool: &Pool) -> (u64, u64) {
    (pool.policy.tally().probes, pool.governor.rounds)
}

/// For how long a condition has held.
fn lasts(since: &mut Option<Nanos>, holds: bool, now: Nanos) -> Nanos {
    *since = holds.then(|| since.unwrap_or(now));
    since.map_or(0, |since| now - since)
}
