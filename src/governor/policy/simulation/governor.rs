//! A governor's thread and how it carries orders out, as in `governor/mod.rs`.

use super::Nanos;
use super::dice::Dice;
use super::jobserver::Fund;
use super::machine::Job;
use super::worker::Mode;
use super::world::{Event, World};
use crate::governor::policy::{Berth, Felt, Notice, Orders, Ran, Rest, Wake, Watch};
use crate::jobserver::Market;

/// The governor's thread of a pool.
#[derive(Debug, Default)]
pub(super) struct GovernorThread {
    /// Probes that it is to post when it gets to run.
    posts: usize,
    /// Probes that it is about to post.
    posting: usize,
    /// When it last did.
    pub(super) posted_at: Nanos,
    /// The same of summonses: to make, and about to be made.
    summons: bool,
    summoning: bool,
    pub(super) asleep_until: Option<Nanos>,
    /// The instant of its next step among the events, and which of them counts.
    next: Option<Nanos>,
    ring: u64,
    rung: bool,
    nudged: bool,
    watch: Watch,
    pub(super) berth: Berth,
    pub(super) rounds: u64,
    pub(super) over: bool,
}

impl World {
    /// Does what a policy orders, and says whether its governor's thread is to look.
    pub(super) fn carry_out(&mut self, pool: usize, mut orders: Orders) -> bool {
        let process = self.pools[pool].process;
        // Its account is closed.
        if self.pools[pool].governor.over {
            return false;
        }
        loop {
            let now = self.now;
            let asked = std::mem::take(&mut orders.take);
            if asked.funds > 0 {
                let mut got = 0;
                while got < asked.funds {
                    let Some(fund) = self.try_take(process) else { break };
                    self.add(pool, fund);
                    got += 1;
                }
                self.pools[pool].policy.supplied(now, asked, got, &mut orders);
                self.trace(pool, &("took", got, asked.funds), &orders);
                continue;
            }
            let wanted = self.pools[pool].policy.demand();
            if wanted != self.pools[pool].demand {
                self.pools[pool].demand = wanted;
                self.demand(pool, wanted);
            }
            let granted = self.collect(pool);
            if granted.is_empty() {
                break;
            }
            let count = granted.len();
            granted.into_iter().for_each(|fund| self.add(pool, fund));
            let home = &mut self.pools[pool];
            home.demand.funds = home.demand.funds.saturating_sub(count);
            home.demand.starving = false;
            home.policy.granted(now, count, &mut orders);
            self.trace(pool, &("granted", count), &orders);
        }
        let Orders { wake, give, posts, survey, summon, put_off, .. } = orders;
        let (now, tells) = (self.now, self.tells);
        let home = &mut self.pools[pool];
        if survey && tells {
            for worker in home.policy.sample() {
                let worker = &mut home.workers[worker];
                worker.record.survey(worker.usage(now, false));
            }
        }
        home.governor.posts += posts;
        home.governor.summons |= summon;
        let rest = home.purse.len() - give;
        let given = home.purse.split_off(rest);
        let mut ring = home.governor.posts > 0 || home.governor.summons || home.policy.ended();
        if !ring && let Some(until) = home.governor.asleep_until {
            let deadline = home.policy.deadline();
            match Notice::of(now, until, deadline, self.timers, put_off) {
                Notice::Nothing => {}
                Notice::Reset => self.set_timer(pool, deadline),
                Notice::Wake => ring = true,
            }
        }
        for (worker, why) in wake {
            self.wake_gated(pool, worker, why);
        }
        for fund in given {
            if self.dice.percent(50) {
                self.give(process, fund);
            } else {
                self.hop_to(Event::Give(process, fund));
            }
        }
        ring
    }

    /// Tokens are given back from the end, the own slot last.
    fn add(&mut self, pool: usize, fund: Fund) {
        let purse = &mut self.pools[pool].purse;
        match fund {
            Fund::Own(_) => purse.insert(0, fund),
            Fund::Token(_) => purse.push(fund),
        }
    }

    fn wake_gated(&mut self, pool: usize, worker: usize, why: Wake) {
        let home = &mut self.pools[pool];
        let me = &mut home.workers[worker];
        assert_eq!(me.mode, Mode::Gated, "only parked workers are woken");
        let unheard = me.call.replace(why);
        assert_eq!(unheard, None, "a worker is called once for each wait");
        if why == Wake::Loose {
            me.lent = true;
        } else if why != Wake::Leave {
            me.funded = true;
            home.admitted += 1;
        }
        self.wake_at(Event::Worker(pool, worker));
    }

    /// The governor's thread gets to run soon.
    pub(super) fn ring(&mut self, pool: usize) {
        self.pools[pool].governor.rung = true;
        let pause = self.weather.wake(&mut self.dice) + self.weather.stall(&mut self.dice);
        self.schedule_governor(pool, self.now + pause);
    }

    /// The governor's thread sleeps until then, unless it has been rung for.
    fn set_timer(&mut self, pool: usize, deadline: Option<Nanos>) {
        let governor = &mut self.pools[pool].governor;
        governor.asleep_until = Some(deadline.unwrap_or(Nanos::MAX));
        if governor.rung {
            return;
        }
        // Whatever round was due is no longer.
        governor.next = None;
        governor.ring += 1;
        if let Some(at) = deadline {
            let late = late(&mut self.dice) + self.weather.stall(&mut self.dice);
            self.schedule_governor(pool, at.max(self.now) + late);
        }
    }

    fn schedule_governor(&mut self, pool: usize, at: Nanos) {
        let governor = &mut self.pools[pool].governor;
        if governor.next.is_none_or(|next| at < next) {
            governor.next = Some(at);
            governor.ring += 1;
            let ring = governor.ring;
            self.at(at, Event::Governor(pool, ring));
        }
    }

    pub(super) fn nudge(&mut self, pool: usize) {
        self.pools[pool].governor.nudged = true;
        self.ring(pool);
    }
    /// A round of the governor's thread.
    pub(super) fn govern(&mut self, pool: usize, ring: u64) {
        let governor = &mut self.pools[pool].governor;
        if ring != governor.ring || governor.over {
            return;
        }
        governor.next = None;
        governor.rung = false;
        governor.rounds += 1;
        governor.asleep_until = None;
        let posting = std::mem::take(&mut governor.posting);
        if posting > 0 {
            governor.posted_at = self.now;
            (0..posting).for_each(|_| self.inject(pool, Job::Probe));
            self.pools[pool].policy.posted(self.now);
        }
        if std::mem::take(&mut self.pools[pool].governor.summoning) {
            self.inject_summons(pool);
        }
        if self.pools[pool].policy.ended() {
            self.pools[pool].governor.over = true;
            self.close_account(pool);
            self.release(pool);
            return;
        }
        let nudged = std::mem::take(&mut self.pools[pool].governor.nudged);
        let deadline = self.pools[pool].policy.deadline();
        let mut orders = Orders::default();
        if nudged || deadline.is_some_and(|at| at <= self.now) {
            let ran = self.look(pool);
            let (now, market) = (self.now, self.market(pool));
            self.inspect(pool, &mut orders);
            self.count(pool);
            let trades = self.pools[pool].policy.trades();
            let market = if trades { market } else { Market { lying: 0, ..market } };
            self.pools[pool].policy.tick(now, market, ran, &mut orders);
            self.trace(pool, &("tick", ran), &orders);
            self.exchange(pool);
        }
        self.carry_out(pool, orders);
        let home = &mut self.pools[pool];
        let deadline = home.policy.deadline();
        home.governor.posting = std::mem::take(&mut home.governor.posts);
        home.governor.summoning = std::mem::take(&mut home.governor.summons);
        if home.governor.posting > 0 || home.governor.summoning || home.policy.ended() {
            if home.policy.presumes_sleep() {
                for worker in home.policy.sample() {
                    home.workers[worker].stirred(self.now);
                }
            }
            let pause = self.weather.hop(&mut self.dice) + self.weather.stall(&mut self.dice);
            return self.schedule_governor(pool, self.now + pause);
        }
        self.set_timer(pool, deadline);
    }

    /// A pool that keeps a fund while it is idle must not keep a token where the own slot is free.
    fn exchange(&mut self, pool: usize) {
        let home = &self.pools[pool];
        if home.purse.first().is_some_and(|fund| matches!(fund, Fund::Token(_)))
            && let Some(own) = self.take_own(home.process)
        {
            let home = &mut self.pools[pool];
            let process = home.process;
            let token = home.purse.remove(0);
            home.purse.insert(0, own);
            self.give(process, token);
        }
    }

    fn count(&mut self, pool: usize) {
        let (now, tells) = (self.now, self.tells);
        let home = &mut self.pools[pool];
        if let Some(worker) = home.policy.attests(now) {
            let worker = &mut home.workers[worker];
            let usage = worker.usage(now, false);
            if tells {
                let ran = worker.record.count(usage);
                worker.record.survey(usage);
                home.policy.attested(now, ran);
            }
        }
        if home.policy.counts(now) {
            let sample: Vec<_> = home.policy.sample().collect();
            let ran = sample.into_iter().map(|worker| {
                let worker = &mut home.workers[worker];
                let usage = worker.usage(now, false);
                if tells { worker.record.count(usage) } else { 0 }
            });
            home.policy.counted(now, ran.fold(Felt::default(), Felt::and));
        }
        if tells && home.policy.doubts(now) {
            let starves = |worker: usize| home.workers[worker].starves(now);
            if home.policy.sample().any(starves) {
                home.policy.starved(now);
            }
        }
        if home.policy.feels(now) {
            let sample: Vec<_> = home.policy.sample().collect();
            let ran = sample.into_iter().map(|worker| home.workers[worker].stirred(now));
            let felt = ran.fold(Felt::default(), Felt::and);
            home.policy.felt(now, tells.then_some(felt));
        }
    }

    fn look(&mut self, pool: usize) -> Ran {
        let (now, tells) = (self.now, self.tells);
        let home = &mut self.pools[pool];
        let Some(worker) = home.policy.lookout().filter(|_| tells && home.policy.watches(now))
        else {
            return Ran::Unknown;
        };
        let since = home.policy.rested_at();
        let lookout = &mut home.workers[worker];
        let ran = lookout.stirred(now);
        let berth = &home.governor.berth;
        let rest = || lookout.naps(now).map_or(Rest::Awake, |place| berth.rest(place));
        home.governor.watch.look(now, (worker, since), ran, rest)
    }
}

/// How much later than asked for a timer comes.
fn late(dice: &mut Dice) -> Nanos {
    dice.between(1_000, 60_000)
}
