//! Drives the policy of one pool: serialises its events, carries its orders out, keeps its time.
//!
//! `README.md` in this folder describes the protocol.

mod alarm;
mod driver;
pub(crate) mod policy;
mod purse;
mod visit;
mod workers;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::gate::Parker;
use crate::gate::activity::Seat;
use crate::gate::depth::Errand;
use crate::jobserver::{Fund, Holder, Home, Ledger};
use crate::observe::Stats;
use crate::sync::{Mutex, MutexGuard};
use alarm::Alarm;
pub(crate) use driver::Driver;
use policy::{Berth, Knobs, Nanos, Notice, Orders, Policy, Verdict, Wake, Watch};
use purse::Purse;
pub(crate) use visit::Visit;

/// Called on each worker as it starts, with its index: the user's own start handler.
pub(crate) type StartHook = Box<dyn Fn(usize) + Send + Sync>;

/// Puts a job of ours into the governor's pool.
pub(crate) type Post = Box<dyn Fn(Errand) + Send>;

/// One pool's governor.
///
/// Lock order: `state` before the ledger's lock, and never together with another governor's. Whatever may call
/// another governor (giving funds back) or wakes a worker happens after `state` is released.
pub(crate) struct Governor {
    state: Mutex<State>,
    parkers: Box<[CachePadded<Parker>]>,
    seats: Box<[Seat]>,
    start_hook: Option<StartHook>,
    ledger: Arc<Ledger>,
    /// In a forked child nothing here is touched, the lock least of all.
    home: Home,
    alarm: Alarm,
    /// When the last probe was posted, for those who do not hold the lock.
    posted: AtomicU64,
    /// A rival starves: look at the market although no deadline has come.
    nudged: AtomicBool,
    /// The workers have been summoned to offer a token: for workers in a job, which do not hold the lock.
    summoning: Arc<AtomicBool>,
    born: Instant,
    detect: Option<Nanos>,
    /// May be locked while the state is, never the other way round.
    berth: Mutex<Berth>,
}

struct State {
    policy: Policy,
    orders: Orders,
    purse: Purse,
    /// How many probes the governor's thread is to post.
    posts: usize,
    /// Whether it is also to summon the workers.
    summon: bool,
    /// Until when the governor's thread means to sleep; `None` while it is awake.
    asleep_until: Option<Nanos>,
    watch: Watch,
}

/// What is left to do once the state is released.
#[must_use]
struct Afterwards {
    wake: Vec<(usize, Wake)>,
    give: Vec<Fund>,
    ring: bool,
}

impl Governor {
    /// A governor for `workers` workers that are yet to start.
    ///
    /// `anchored` is for a pool that is called in ways the governor does not see.
    pub(crate) fn driver(
        workers: usize,
        anchored: bool,
        knobs: Knobs,
        ledger: &Arc<Ledger>,
        start_hook: Option<StartHook>,
    ) -> Driver {
        let (bed, alarm) = alarm::new();
        let governor = Arc::new(Governor {
            state: Mutex::new(State {
                policy: Policy::new(workers, anchored, knobs),
                orders: Orders::default(),
                purse: Purse::new(ledger),
                posts: 0,
                summon: false,
                asleep_until: None,
                watch: Watch::default(),
            }),
            parkers: (0..workers).map(|_| CachePadded::new(Parker::new())).collect(),
            seats: (0..workers).map(|_| Seat::default()).collect(),
            start_hook,
            ledger: Arc::clone(ledger),
            home: ledger.home(),
            alarm,
            posted: AtomicU64::new(0),
            nudged: AtomicBool::new(false),
            summoning: Arc::default(),
            born: Instant::now(),
            detect: knobs.detect,
            berth: Mutex::default(),
        });
        let holder: Arc<dyn Holder> = Arc::clone(&governor) as _;
        governor.state.lock().purse.open(&holder);
        Driver { governor, bed }
    }

    /// Takes a fund for the first worker of a pool whose calls cannot be seen, or begins to wait for one.
    pub(crate) fn anchor(&self) {
        self.step(|_, _, _, orders| orders.take.funds += 1);
    }

    /// Makes the current thread, which nobody can park where it stands, a worker.
    pub(crate) fn adopt_current_thread(&self) {
        self.seats[0].occupy(self.now());
        self.step(|_, _, _, orders| orders.take.funds += 1);
        self.step(|policy, now, purse, orders| {
            if policy.funds() == 0 {
                purse.lend();
                policy.granted(now, 1, orders);
            }
            policy.adopted(now, 0);
        });
    }

    /// The process that has the pool's workers.
    #[inline]
    pub(crate) fn home(&self) -> Home {
        self.home
    }

    /// The pool's owner has dropped it.
    pub(crate) fn drain(&self) {
        if !self.home.is_here() {
            return;
        }
        self.step(|policy, now, _, orders| policy.drain(now, orders));
    }

    /// The pool could not be built: let the workers that have started go.
    pub(crate) fn abandon(&self) {
        self.step(|policy, _, _, orders| policy.abandon(orders));
    }

    /// A worker of the pool, on whose thread this is called, is about to block in the program.
    pub(crate) fn blocked(&self, worker: usize) {
        self.step(|policy, now, _, orders| policy.blocked(now, worker, orders));
    }

    /// The same within a closure in which it has blocked before. Says whether it has anything to give up there.
    pub(crate) fn blocked_again(&self, worker: usize) -> bool {
        self.step(|policy, now, _, orders| policy.blocked_again(now, worker, orders))
    }

    /// It has done so; returns once it may run.
    pub(crate) fn unblocked(&self, worker: usize) {
        self.rule(worker, |policy, now, _, orders| policy.unblocked(now, worker, orders));
    }

    /// A worker of the pool, on whose thread this is called, lets others have its fund in the middle of a job, if
    /// it is time for that; returns once it is funded.
    pub(crate) fn yields(&self, worker: usize) {
        self.rule(worker, |policy, now, _, orders| policy.yields(now, worker, orders));
    }

    /// Whether the workers have been summoned to offer a token.
    pub(crate) fn summoning(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.summoning)
    }

    /// What the pool has done so far. Panics in a forked child.
    #[track_caller]
    pub(crate) fn stats(&self) -> Stats {
        self.home.insist();
        let state = self.state.lock();
        Stats::new(state.policy.tally(), state.policy.admitted(), state.purse.overcommits())
    }

    fn now(&self) -> Nanos {
        Nanos::try_from(self.born.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
    }

    /// Tells the policy of an event and does what it orders.
    fn step<R>(&self, event: impl FnOnce(&mut Policy, Nanos, &mut Purse, &mut Orders) -> R) -> R {
        let mut state = self.state.lock();
        let now = self.now();
        let State { policy, orders, purse, .. } = &mut *state;
        let outcome = event(policy, now, purse, orders);
        let afterwards = self.carry_out(&mut state, now);
        drop(state);
        self.follow_up(afterwards);
        outcome
    }

    /// The same, for an event whose outcome is about the worker on whose thread this is called.
    fn rule(
        &self,
        worker: usize,
        event: impl FnOnce(&mut Policy, Nanos, &mut Purse, &mut Orders) -> Verdict,
    ) {
        if self.step(event) == Verdict::Park {
            self.park(worker);
        }
    }

    /// Carries out those orders that touch the state, and returns the others.
    fn carry_out(&self, state: &mut MutexGuard<'_, State>, now: Nanos) -> Afterwards {
        let State { policy, orders, purse, posts, summon, asleep_until, .. } = &mut **state;
        loop {
            let asked = std::mem::take(&mut orders.take);
            if asked.funds > 0 {
                let got = purse.take(asked.funds);
                policy.supplied(now, asked, got, orders);
                continue;
            }
            purse.demand(purse.and_loans(policy.demand(), orders.give));
            let (granted, more) = purse.collect();
            if granted == 0 {
                break;
            }
            policy.granted(now, more, orders);
        }
        *posts += std::mem::take(&mut orders.posts);
        *summon |= std::mem::take(&mut orders.summon);
        if std::mem::take(&mut orders.survey) {
            policy.sample().for_each(|worker| self.seats[worker].survey(now));
        }
        if self.summoning.load(Ordering::Relaxed) != policy.summons() {
            self.summoning.store(policy.summons(), Ordering::Relaxed);
        }
        let give = purse.withdraw(std::mem::take(&mut orders.give));
        debug_assert_eq!(purse.len(), policy.funds(), "the purse and the policy disagree");
        let put_off = std::mem::take(&mut orders.put_off);
        let mut ring = *posts > 0 || *summon || policy.ended();
        if !ring && let Some(until) = *asleep_until {
            let deadline = policy.deadline();
            match Notice::of(now, until, deadline, self.alarm.is_timer(), put_off) {
                Notice::Nothing => {}
                Notice::Reset => {
                    self.alarm.set(deadline.map(|at| at.saturating_sub(now)));
                    *asleep_until = Some(deadline.unwrap_or(Nanos::MAX));
                }
                Notice::Wake => ring = true,
            }
        }
        Afterwards { wake: std::mem::take(&mut orders.wake), give, ring }
    }

    fn follow_up(&self, afterwards: Afterwards) {
        let Afterwards { wake, give, ring } = afterwards;
        for (worker, why) in wake {
            self.parkers[worker].call(why);
        }
        give.into_iter().for_each(|fund| self.ledger.give(fund));
        if ring {
            self.alarm.ring();
        }
    }
}

impl Holder for Governor {
    fn granted(&self) {
        // Whatever lies in the inbox is collected with any event.
        self.step(|_, _, _, _| ());
    }

    fn nudge(&self) {
        self.nudged.store(true, Ordering::Release);
        self.alarm.ring();
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governor").field("workers", &self.parkers.len()).finish_non_exhaustive()
    }
}
