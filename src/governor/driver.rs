//! The governor's own thread: keeps its time and posts its errands.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::alarm::Bed;
use super::policy::{Felt, Nanos, Ran, Rest};
use super::purse::Purse;
use super::{Afterwards, Governor, Post, State};
use crate::gate::depth::Errand;
use crate::jobserver::Fund;

/// The part of a governor that its own thread owns.
pub(crate) struct Driver {
    pub(super) governor: Arc<Governor>,
    pub(super) bed: Bed,
}

impl Driver {
    pub(crate) fn governor(&self) -> &Arc<Governor> {
        &self.governor
    }

    /// Keeps the governor's time until its pool has ended.
    ///
    /// Runs on a thread of its own, which is no worker: what a worker spawned would not get into the injector.
    pub(crate) fn run(self, post: Post) {
        sharpen_timers();
        while let ControlFlow::Continue(after) = self.round(&post) {
            self.governor.alarm.sleep(&self.bed, after);
        }
    }

    /// Does what is due and says how long to sleep (`None`: until woken); breaks off if the pool has ended.
    fn round(&self, post: &Post) -> ControlFlow<(), Option<Nanos>> {
        let governor = &*self.governor;
        let mut posted = false;
        loop {
            let mut state = governor.state.lock();
            state.asleep_until = None;
            if state.policy.ended() {
                return ControlFlow::Break(());
            }
            let now = governor.now();
            if std::mem::take(&mut posted) {
                state.policy.posted(now);
            }
            let nudged = governor.nudged.swap(false, Ordering::Acquire);
            let due = nudged || state.policy.deadline().is_some_and(|at| at <= now);
            let exchanged = if due { governor.tick(&mut state, now) } else { None };
            let mut afterwards = governor.carry_out(&mut state, now);
            afterwards.give.extend(exchanged);
            let posts = std::mem::take(&mut state.posts);
            let summon = std::mem::take(&mut state.summon);
            let deadline = state.policy.deadline();
            let after = deadline.map(|at| at.saturating_sub(now));
            // What is due already is done at once, without a sleep and a wake-up.
            let again = after == Some(0);
            if posts > 0 || summon {
                if state.policy.presumes_sleep() {
                    let sample = state.policy.sample();
                    sample.for_each(|worker| governor.seats[worker].await_probe());
                }
            } else if !again {
                state.asleep_until = Some(deadline.unwrap_or(Nanos::MAX));
                // Under the lock, or it would undo what others set meanwhile.
                governor.alarm.set(after);
            }
            drop(state);
            // The alarm would wake this very thread.
            governor.follow_up(Afterwards { ring: false, ..afterwards });
            if posts == 0 && !summon && !again {
                return ControlFlow::Continue(after);
            }
            if posts > 0 {
                governor.posted.store(governor.now(), Ordering::Relaxed);
                posted = true;
            }
            (0..posts).for_each(|_| post(Errand::Probe));
            if summon {
                post(Errand::Summons);
            }
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let empty = Purse::new(&self.governor.ledger);
        // In two statements: dropping the purse may call other governors, which must not happen under the lock.
        let purse = std::mem::replace(&mut self.governor.state.lock().purse, empty);
        drop(purse);
    }
}

impl Governor {
    /// Whether a worker sleeps, and if so whether as an idle one does.
    fn rest_of(&self, worker: usize, now: Nanos) -> Rest {
        match self.seats[worker].naps(now) {
            Some(place) => self.berth.lock().rest(place),
            None => Rest::Awake,
        }
    }

    /// Does what is due by now, and returns a fund that is to be given back.
    fn tick(&self, state: &mut State, now: Nanos) -> Option<Fund> {
        let State { policy, orders, purse, watch, .. } = state;
        let ran = match policy.lookout() {
            Some(worker) if policy.watches(now) => {
                let seat = &self.seats[worker];
                let whom = (worker, policy.rested_at());
                let look = |ran| watch.look(now, whom, ran, || self.rest_of(worker, now));
                seat.stirred().map_or(Ran::Unknown, look)
            }
            _ => Ran::Unknown,
        };
        if let Some(detect) = self.detect
            && policy.inspects(now)
        {
            let posted = self.posted.load(Ordering::Relaxed);
            let still = |worker: usize| self.seats[worker].stillness(now, posted, detect);
            policy.inspect(now, still, orders);
        }
        if let Some(worker) = policy.attests(now) {
            policy.attested(now, self.seats[worker].count_anew(now));
        }
        if policy.counts(now) {
            let ran = policy.sample().map(|worker| self.seats[worker].count(now));
            let felt = ran.fold(Felt::default(), Felt::and);
            policy.counted(now, felt);
        }
        if policy.doubts(now) && policy.sample().any(|worker| self.seats[worker].starves()) {
            policy.starved(now);
        }
        if policy.feels(now) {
            let ran = |worker: usize| self.seats[worker].stirred();
            let felt = policy
                .sample()
                .try_fold(Felt::default(), |felt, worker| Some(felt.and(ran(worker)?)));
            policy.felt(now, felt);
        }
        let market = if policy.trades() { purse.market() } else { purse.rivals() };
        policy.tick(now, market, ran, orders);
        // An idle pool may keep the own slot as long as it likes, but not a token.
        purse.exchange()
    }
}

/// Asks the kernel for timers sharper than the 50 µs it allows itself, on this thread alone.
fn sharpen_timers() {
    #[cfg(target_os = "linux")]
    {
        // Refused, probes mature a little later.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
    }
}
