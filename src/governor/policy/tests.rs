//! The policy under made-up events: each test is one story, told event by event.

mod blocking;
mod crowded;
mod glancing;
mod growing;
mod handing;
mod leaving;
mod looking;
mod looping;
mod nesting;
mod resuming;
mod sharing;
mod silent;
mod starting;
mod waiting;

use proptest::prelude::*;

use super::*;
use crate::jobserver::Demand;

const MICROSECOND: Nanos = 1_000;
const MILLISECOND: Nanos = 1_000 * MICROSECOND;

/// Nobody else wants anything, and tokens lie there.
const PLENTY: Market = Market { lying: 9, rival: false, rival_starving: false, token: false };
/// Nobody here wants anything, and no token lies there.
const DRY: Market = Market { lying: 0, rival: false, rival_starving: false, token: false };
/// Somebody may be waiting.
const SCARCE: Market = Market { lying: 0, rival: true, rival_starving: false, token: false };
const STARVING: Market = Market { lying: 0, rival: true, rival_starving: true, token: false };

/// A policy, its time, and funds to be had without waiting.
struct Story {
    policy: Policy,
    now: Nanos,
    funds: usize,
}

impl Story {
    /// A pool whose `workers` workers have come up.
    fn new(workers: usize, anchored: bool, funds: usize) -> Self {
        // Nobody can be seen to block, and nothing is offered, but in the stories about that.
        let knobs = Knobs { detect: None, lease: None, ..Knobs::default() };
        let policy = Policy::new(workers, anchored, knobs);
        Story { policy, now: 0, funds }.begin(workers, anchored)
    }

    /// The same with other knobs, of an owned pool.
    fn with(workers: usize, funds: usize, knobs: Knobs) -> Self {
        let policy = Policy::new(workers, false, knobs);
        Story { policy, now: 0, funds }.begin(workers, false)
    }

    fn begin(self, workers: usize, anchored: bool) -> Self {
        let mut story = self;
        if anchored {
            let mut orders =
                Orders { take: Take { funds: 1, ..Take::default() }, ..Orders::default() };
            story.supply(&mut orders);
        }
        for worker in 0..workers {
            let now = story.now;
            let _ = story.policy.started(now, worker);
        }
        story
    }

    fn supply(&mut self, orders: &mut Orders) {
        while orders.take.funds > 0 {
            let asked = std::mem::take(&mut orders.take);
            let got = asked.funds.min(self.funds);
            self.funds -= got;
            self.policy.supplied(self.now, asked, got, orders);
        }
        self.funds += std::mem::take(&mut orders.give);
        assert!(self.policy.admitted() <= self.policy.funds());
    }

    /// Tells an event, fills orders to take, and returns what else is ordered.
    fn tell<R>(&mut self, event: impl FnOnce(&mut Policy, Nanos, &mut Orders) -> R) -> (R, Orders) {
        let mut orders = Orders::default();
        let outcome = event(&mut self.policy, self.now, &mut orders);
        self.supply(&mut orders);
        (outcome, orders)
    }

    fn enter(&mut self) -> Orders {
        self.tell(Policy::enter).1
    }

    /// Lets time pass until the policy wants it told, and tells.
    fn beat(&mut self, market: Market, ran: Ran) -> Orders {
        self.now = self.policy.deadline().expect("the policy waits for something").max(self.now);
        if self.policy.engaged > 0 && self.policy.feels(self.now) {
            let all =
                (0..self.policy.admitted()).fold(Felt::default(), |felt, _| felt.and(100_000));
            self.policy.felt(self.now, Some(all));
        }
        self.tell(|policy, now, out| policy.tick(now, market, ran, out)).1
    }

    fn after(&mut self, pause: Nanos, market: Market) -> Orders {
        self.now += pause;
        self.tell(|policy, now, out| policy.tick(now, market, Ran::No, out)).1
    }

    /// An idle worker takes a probe.
    fn taken(&mut self, market: Market, worker: usize, nested: bool) -> (Verdict, Orders) {
        let sighting =
            Sighting { worker, nested, moved: false, judged: Judged::Quiet, late: false };
        self.tell(|policy, now, out| policy.taken(now, market, sighting, out))
    }

    /// A worker that is at work has a moment for a probe.
    fn taken_between_jobs(&mut self, worker: usize) -> Orders {
        let (nested, moved, late) = (false, false, false);
        let sighting = Sighting { worker, nested, moved, judged: Judged::Active, late };
        self.tell(|policy, now, out| policy.taken(now, PLENTY, sighting, out)).1
    }

    /// A worker has looked at its own queues, and found nothing there.
    fn turned(&mut self, worker: usize) -> (Verdict, Orders) {
        self.tell(|policy, now, out| policy.turned(now, PLENTY, worker, false, out))
    }

    /// An idle worker takes the probe that lies there; if none does, time passes.
    fn rests(&mut self, market: Market, worker: usize, nested: bool) {
        if self.policy.probes > 0 {
            let _ = self.taken(market, worker, nested);
        } else {
            self.beat(market, Ran::No);
        }
    }

    /// A worker that was of use before is called back.
    fn resume_one(&mut self) {
        self.tell(|_, _, out| out.take = Take { funds: 1, resuming: true, exploring: false });
    }

    /// A pool whose first call is over, and whose only admitted worker has not been asked yet.
    fn after_a_call(workers: usize, funds: usize) -> Story {
        let mut story = Story::new(workers, false, funds);
        story.enter();
        story.resumed();
        story.tell(Policy::leave);
        story
    }

    /// A pool of four within a call, whose idle workers are asked for a token, worker 3 being one of them.
    fn asked_for_a_token() -> Story {
        let mut story = Story::new(4, false, 4);
        story.spread();
        story.beat(PLENTY, Ran::No);
        let _ = story.taken(PLENTY, 3, false);
        while story.policy.release.pending() == 0 {
            story.beat(DRY, Ran::No);
        }
        story
    }

    fn resumed(&mut self) {
        self.tell(|policy, now, _| policy.resumed(now));
    }

    /// Has the pool of one call wait until the first probe lies in the injector.
    fn until_posted(&mut self) {
        for _ in 0..20 {
            if self.beat(PLENTY, Ran::No).posts > 0 {
                return;
            }
        }
        panic!("never posts: {:?}", self.policy);
    }

    /// Lets a pool become as wide as its funds allow.
    fn spread(&mut self) {
        self.enter();
        self.resumed();
        self.until_posted();
        while self.policy.admitted() < self.policy.workers && self.funds > 0 {
            let woken = self.beat(PLENTY, Ran::No).wake.len();
            (0..woken).for_each(|_| self.resumed());
        }
    }
}

fn woken(orders: &Orders) -> Vec<(usize, Wake)> {
    orders.wake.clone()
}

#[test]
fn a_call_wakes_the_worker_parked_last_and_no_other() {
    let mut story = Story::new(3, false, 2);
    assert_eq!(story.policy.deadline(), None);
    assert_eq!(woken(&story.enter()), [(2, Wake::Work)]);
    assert_eq!((story.policy.admitted(), story.funds), (1, 1));
    assert!(story.enter().wake.is_empty(), "a second call finds the pool at work");
}

#[test]
fn a_call_without_a_fund_starves_until_there_is_one() {
    let mut story = Story::new(2, false, 0);
    story.enter();
    assert_eq!(story.policy.demand(), Demand { funds: 1, starving: true, tokens_only: false });
    let orders = story.tell(|policy, now, out| policy.granted(now, 1, out)).1;
    assert_eq!(woken(&orders), [(1, Wake::Work)]);
    assert_eq!(story.policy.demand(), Demand::default());
}

#[test]
fn a_busy_pool_offers_a_token_and_fetches_it_back_if_nobody_takes_it() {
    let knobs = Knobs { detect: None, ..Knobs::default() };
    let mut story = Story::with(4, 3, knobs);
    story.spread();
    assert_eq!(story.policy.admitted(), 3);
    let offers = |story: &mut Story| loop {
        let before = story.now;
        if story.beat(DRY, Ran::No).summon {
            return story.now - before;
        }
    };
    let term = knobs.lease.expect("the default").term;
    assert!(offers(&mut story) > term / 2, "not at once");
    let call = |story: &mut Story, worker| {
        story.tell(|policy, now, out| policy.summoned(now, worker, false, out))
    };
    let (verdict, orders) = call(&mut story, 3);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(0, Wake::Turn)]));
    assert_eq!(call(&mut story, 2).0, Verdict::Stay, "one is enough");
    let turned = |policy: &mut Policy, now, out: &mut _| policy.turned(now, DRY, 0, false, out);
    assert_eq!(story.tell(turned).0, Verdict::Park);
    assert_eq!((story.policy.admitted(), story.funds), (2, 1), "it lies there");
    assert_eq!(story.policy.demand(), Demand::default(), "and we do not bid for it");
    story.beat(PLENTY, Ran::No);
    assert_eq!((story.policy.admitted(), story.funds), (3, 0));
    story.resumed();
    let pause = offers(&mut story);
    assert_eq!(call(&mut story, 2).0, Verdict::Park);
    let next = story.policy.sweep.in_turn.expect("the parked one has a turn first");
    let turned = |policy: &mut Policy, now, out: &mut _| policy.turned(now, DRY, next, false, out);
    assert_eq!(story.tell(turned).0, Verdict::Park);
    story.funds -= 1;
    story.beat(DRY, Ran::No);
    assert_eq!(story.policy.admitted(), 2, "somebody took it");
    assert_eq!(
        story.policy.demand().funds,
        2,
        "the pool would have it back, and one for its other worker"
    );
    assert!(offers(&mut story) <= pause, "others want tokens: the next comes no later");
}

#[test]
fn a_pool_with_a_single_fund_offers_nothing() {
    let mut story = Story::with(2, 1, Knobs { detect: None, ..Knobs::default() });
    story.spread();
    story.beat(DRY, Ran::No);
    assert_eq!(story.policy.deadline(), None);
}

#[test]
fn an_idle_worker_hands_its_fund_to_one_that_waits() {
    let mut story = Story::new(3, false, 2);
    story.spread();
    let (verdict, _) = story.taken(STARVING, 1, true);
    assert_eq!(verdict, Verdict::Park, "a starving rival takes even from a worker that waits");
    assert!(story.policy.roster.any_nested());
    story.until_posted();
    let (verdict, orders) = story.taken(PLENTY, 2, false);
    assert_eq!(verdict, Verdict::Park);
    assert_eq!(woken(&orders), [(1, Wake::Work)]);
    assert_eq!(orders.posts, 1, "or nobody would see it go idle");
}

#[test]
fn a_starving_rival_gets_the_last_fund_and_the_pool_asks_again_before_long() {
    let mut story = Story::new(2, false, 1);
    story.enter();
    story.resumed();
    story.until_posted();
    let (verdict, _) = story.taken(STARVING, 1, false);
    assert_eq!((verdict, story.funds), (Verdict::Park, 1));
    assert_eq!(story.policy.demand().funds, 1);
    assert!(!story.policy.demand().starving, "else both would nudge each other without end");
    story.beat(SCARCE, Ran::Unknown);
    assert!(story.policy.demand().starving);
}

#[test]
fn an_announced_broadcast_brings_every_parked_worker_its_turn() {
    let mut story = Story::new(4, false, 1);
    story.enter();
    story.resumed();
    assert_eq!(story.tell(Policy::broadcast).1.posts, 1);
    let (verdict, orders) = story.taken(PLENTY, 3, false);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(0, Wake::Turn)]));
    for worker in 0..2 {
        let turned =
            |policy: &mut Policy, now, out: &mut _| policy.turned(now, PLENTY, worker, true, out);
        let (verdict, orders) = story.tell(turned);
        assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(worker + 1, Wake::Turn)]));
        assert_eq!(story.policy.admitted(), 1);
    }
}

#[test]
fn a_drained_pool_ends_when_it_is_idle_and_lets_everybody_go() {
    let mut story = Story::new(2, false, 1);
    let orders = story.tell(Policy::drain).1;
    assert!(story.policy.ended());
    assert_eq!(woken(&orders), [(0, Wake::Leave), (1, Wake::Leave)]);

    let mut story = Story::new(2, false, 1);
    story.enter();
    story.tell(Policy::drain);
    assert!(!story.policy.ended(), "a spawned job is still to run");
}

/// Once the phase stayed as it was, without a probe: nothing ever listened again.
#[test]
fn a_turn_planned_for_a_worker_that_was_admitted_since_is_forgotten() {
    let mut story = Story::new(2, true, 2);
    while !story.policy.sweep.rotate {
        let orders = story.beat(PLENTY, Ran::Unknown);
        if orders.posts > 0 && !story.policy.sweep.rotate {
            let _ = story.taken(PLENTY, 0, false);
        }
    }
    while story.policy.admitted() < 2 {
        story.beat(PLENTY, Ran::Unknown);
    }
    story.resumed();
    let (verdict, _) = story.taken(PLENTY, 0, false);
    assert_eq!((verdict, story.policy.phase), (Verdict::Stay, Phase::Slack));
    assert!(story.policy.deadline().is_some());
}

/// Once each admission counted as activity, and put the sweep off until the next one: pools that
/// shared one fund handed it round for good.
#[test]
fn pools_that_make_way_for_each_other_still_sweep() {
    let mut story = Story::after_a_call(3, 1);
    for _ in 0..20 {
        story.until_posted();
        let (verdict, orders) = story.taken(STARVING, 2, false);
        assert_eq!(verdict, Verdict::Park);
        if woken(&orders).contains(&(0, Wake::Turn)) {
            return;
        }
        // Here the rival has the fund for a while.
        let fund = std::mem::take(&mut story.funds);
        story.beat(SCARCE, Ran::Unknown);
        story.tell(|policy, now, out| policy.granted(now, fund, out));
        story.resumed();
    }
    panic!("never swept: {:?}", story.policy);
}

/// Once a lookout that waited within a job nobody called for was probed every 150 µs, and what it
/// waited for was never looked for.
#[test]
fn a_worker_that_waits_in_a_spawned_job_is_watched_and_the_others_swept() {
    let mut story = Story::after_a_call(2, 1);
    let (mut probes, mut turns) = (0, 0);
    while story.now < 1_000 * MILLISECOND {
        probes += story.beat(PLENTY, Ran::No).posts;
        if story.policy.probes == 0 {
            continue;
        }
        let (verdict, orders) = story.taken(PLENTY, 1, true);
        if verdict == Verdict::Stay {
            continue;
        }
        // A turn for the other, which finds nothing, after which the fund goes back.
        assert_eq!(woken(&orders), [(0, Wake::Turn)]);
        turns += 1;
        let _ = story.turned(0);
        story.until_posted();
        let (_, orders) = story.taken(PLENTY, 0, false);
        assert_eq!(woken(&orders), [(1, Wake::Work)]);
        story.resumed();
    }
    assert!(turns > 3, "{turns} turns");
    assert!(probes < 1_000, "{probes} probes a second");
}

/// Once the system's silence led to a probe every 200 µs.
#[test]
fn a_lookout_that_cannot_be_watched_is_not_woken_faster_than_the_beat() {
    let mut story = Story::new(2, true, 1);
    let mut probes = 0;
    while story.now < 1_000 * MILLISECOND {
        let posts = story.beat(PLENTY, Ran::Unknown).posts;
        probes += posts;
        for _ in 0..posts {
            let lookout = story.policy.lookout().expect("one is admitted");
            let (verdict, orders) = story.taken(PLENTY, lookout, false);
            if verdict == Verdict::Park {
                let other = woken(&orders)[0].0;
                let _ = story.turned(other);
            }
        }
    }
    assert!(probes < 80, "{probes} probes a second");
}

/// Once every call put the sweep off.
#[test]
fn a_stream_of_calls_does_not_keep_parked_workers_from_their_turns() {
    let mut story = Story::new(3, true, 1);
    while story.now < 500 * MILLISECOND {
        story.enter();
        story.after(200 * MICROSECOND, PLENTY);
        story.tell(Policy::leave);
        for _ in 0..story.policy.probes {
            let lookout = story.policy.lookout().expect("one is admitted");
            let (verdict, orders) = story.taken(PLENTY, lookout, false);
            if verdict == Verdict::Park {
                assert!(woken(&orders).iter().all(|(_, wake)| *wake == Wake::Turn));
                return;
            }
        }
    }
    panic!("never swept: {:?}", story.policy);
}

#[derive(Clone, Debug)]
enum Move {
    ParkCold,
    ParkNested,
    Best,
    Oldest,
    Nested,
    Activity,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    use Move::{Activity, Best, Nested, Oldest, ParkCold, ParkNested};
    let one = proptest::sample::select(vec![ParkCold, ParkNested, Best, Oldest, Nested, Activity]);
    proptest::collection::vec(one, 0..200)
}

proptest! {
    /// Nobody is parked twice, nobody is lost, and those who are not parked are told right.
    #[test]
    fn the_roster_knows_who_is_parked(moves in moves(), workers in 1_usize..12) {
        let mut roster = Roster::new(workers, Knobs::default().recheck);
        (0..workers).for_each(|worker| roster.step(worker));
        let mut outside: Vec<_> = (0..workers).collect();
        let mut epoch = 1;
        for (step, next) in moves.into_iter().enumerate() {
            let now = step as Nanos * MICROSECOND;
            let parked = match next {
                Move::ParkCold | Move::ParkNested => outside.pop(),
                _ => None,
            };
            match (next, parked) {
                (Move::ParkCold, Some(worker)) => roster.park_cold(worker, epoch),
                (Move::ParkNested, Some(worker)) => roster.park_nested(worker, now),
                (Move::Best, _) => outside.extend(roster.take_best()),
                (Move::Oldest, _) => outside.extend(roster.take_oldest()),
                (Move::Nested, _) => outside.extend(roster.take_nested(now)),
                (Move::Activity, _) => epoch += 1,
                (Move::ParkCold | Move::ParkNested, None) => {}
            }
            prop_assert_eq!(roster.len() + outside.len(), workers);
            let from = step % workers;
            let mut told: Vec<_> = roster.outsiders(from, workers).collect();
            let later = outside.iter().any(|&worker| worker >= from);
            prop_assert_eq!(told.first().is_some_and(|&first| first >= from), later);
            told.sort_unstable();
            outside.sort_unstable();
            prop_assert_eq!(&told, &outside);
        }
        outside.extend(roster.take_all());
        outside.sort_unstable();
        prop_assert_eq!(outside, (0..workers).collect::<Vec<_>>());
    }

    /// However its trials end, growth never waits longer than its bound, nor adds more than double.
    #[test]
    fn growth_stays_within_its_bounds(trials in proptest::collection::vec(any::<bool>(), 0..100)) {
        let bounds = Knobs::default().backoff;
        let mut growth = Growth::new(bounds, 0);
        let (mut now, mut step) = (0, growth.step());
        for helped in trials {
            growth.started(growth.step());
            if helped {
                growth.confirmed(now, 1, 64);
            } else {
                prop_assert!(growth.failed(now, 1));
            }
            prop_assert!(growth.step() <= (2 * step).min(64) && growth.step() >= 1);
            step = growth.step();
            let due = growth.due().expect("no token is missing");
            prop_assert!(due <= now + bounds.1);
            now = now.max(due);
        }
    }
}
