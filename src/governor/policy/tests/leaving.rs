//! Stories of pools that are dropped, and of the thread that built one and was a worker of it.

use super::*;

/// Once the pool kept the fund, wanted none for the next call, and admitted nobody.
#[test]
fn a_call_that_ends_before_any_worker_is_up_leaves_no_fund_behind() {
    let mut story = Story { policy: Policy::new(2, false, Knobs::default()), now: 0, funds: 1 };
    story.enter();
    story.enter();
    story.tell(Policy::leave);
    assert_eq!((story.policy.funds(), story.policy.admitted()), (1, 0), "for the first to come up");
    story.tell(Policy::leave);
    assert_eq!((story.policy.funds(), story.funds), (0, 1));
    for worker in [0, 1] {
        let (verdict, _) = story.tell(|policy, now, _| policy.started(now, worker));
        assert_eq!(verdict, Verdict::Park);
    }
    assert_eq!(story.enter().wake.len(), 1);
}

/// A pool of the thread that builds it and others, of whom so many have come up.
fn adopted(workers: usize, started: usize, funds: usize) -> Story {
    let knobs = Knobs { detect: None, lease: None, ..Knobs::default() };
    let mut story = Story { policy: Policy::new(workers, true, knobs), now: 0, funds };
    story.tell(|_, _, out| out.take.funds += 1);
    story.tell(|policy, now, _| policy.adopted(now, 0));
    for worker in 1..=started {
        let verdict = story.tell(|policy, now, _| policy.started(now, worker)).0;
        assert_eq!(verdict, Verdict::Park, "the fund is the builder's");
    }
    story
}

#[test]
fn a_pool_of_the_thread_that_built_it_alone_ends_with_it() {
    let mut story = adopted(1, 0, 1);
    story.tell(Policy::drain);
    assert!(story.policy.ended());
    assert_eq!(story.funds, 1);
}

#[test]
fn somebody_looks_for_what_the_thread_has_left_behind() {
    let mut story = adopted(3, 2, 1);
    let orders = story.tell(Policy::drain).1;
    assert_eq!(orders.wake, [(2, Wake::Work)], "it has the fund now");
    story.resumed();
    assert!(!story.policy.ended());
    // It comes to its probe, and so has found nothing.
    let mut orders = story.taken(PLENTY, 2, false).1;
    while !story.policy.ended() {
        orders = match orders.wake.pop() {
            Some((worker, Wake::Turn)) => story.turned(worker).1,
            Some(other) => panic!("{other:?}"),
            None if story.policy.probes > 0 => story.taken(PLENTY, 2, false).1,
            None => story.beat(PLENTY, Ran::No),
        };
    }
    assert_eq!(story.funds, 1);
}

/// Once such a pool ended at once, and its threads ran what was left as if there were no budget.
#[test]
fn threads_that_have_yet_to_come_up_look_too() {
    let mut story = adopted(3, 0, 1);
    let orders = story.tell(Policy::drain).1;
    assert_eq!((orders.wake, story.policy.ended()), (Vec::new(), false));
    assert_eq!(story.policy.demand().funds, 1);
    // The ledger grants it.
    story.tell(|_, _, out| out.take.funds += 1);
    let verdicts = [1, 2].map(|worker| story.tell(|policy, now, _| policy.started(now, worker)).0);
    assert_eq!(verdicts, [Verdict::Stay, Verdict::Park]);
}

#[test]
fn a_probe_from_before_tells_nothing_of_what_was_left() {
    let mut story = adopted(2, 1, 2);
    story.tell(|policy, now, out| {
        policy.post(now, 1, out);
    });
    let orders = story.tell(Policy::drain).1;
    assert_eq!(orders.wake, [(1, Wake::Work)]);
    story.resumed();
    let _ = story.taken(PLENTY, 1, false);
    assert!(!story.policy.ended() && story.policy.departure.is_fresh());
    while story.beat(PLENTY, Ran::No).posts == 0 {
        assert!(story.now < MILLISECOND, "another one: {:?}", story.policy);
    }
    let _ = story.taken(PLENTY, 1, false);
    assert!(!story.policy.departure.is_fresh());
}

/// Once it took every probe, since rayon wakes it before all others: nobody who was funded ever had one.
#[test]
fn the_thread_may_wait_for_jobs_once_more_and_looks_at_them_unfunded() {
    let mut story = adopted(2, 1, 1);
    story.tell(Policy::drain);
    story.resumed();
    let (verdict, orders) = story.taken(PLENTY, 0, true);
    assert_eq!(
        (verdict, orders.give, orders.posts),
        (Verdict::Park, 0, 1),
        "a probe for the others"
    );
    assert!(story.policy.departure.is_fresh(), "it has not looked for them");
    let look = story.policy.departure.due().expect("it looks again");
    while story.now < look {
        assert_eq!(
            story.beat(PLENTY, Ran::No).wake,
            if story.now < look { vec![] } else { vec![(0, Wake::Loose)] }
        );
    }
    // It blocks, and goes on when it likes.
    story.tell(|policy, now, out| policy.blocked(now, 0, out));
    let verdict = story.tell(|policy, now, out| policy.unblocked(now, 0, out)).0;
    assert_eq!((verdict, story.policy.tally().absences), (Verdict::Stay, 0));
    assert_eq!((story.policy.admitted(), story.policy.tally().overcommits), (1, 0));
}

#[test]
fn the_thread_goes_on_when_the_pool_ends() {
    let mut story = adopted(2, 1, 1);
    story.tell(Policy::drain);
    story.resumed();
    let _ = story.taken(PLENTY, 0, true);
    let orders = story.tell(|policy, _, out| policy.end(out)).1;
    assert!(orders.wake.contains(&(0, Wake::Leave)));
}

/// Somebody else drops the pool, while the thread that built it waits for jobs.
#[test]
fn the_thread_does_not_stay_parked_in_a_pool_that_is_dropped() {
    let mut story = adopted(2, 1, 2);
    story.spread();
    assert_eq!(story.policy.admitted(), 2);
    while story.policy.roster.is_outside(0) {
        story.rests(STARVING, 0, true);
    }
    let orders = story.tell(Policy::drain).1;
    assert_eq!(orders.wake, [(0, Wake::Loose)]);
    assert_eq!((story.policy.admitted(), story.policy.tally().overcommits), (1, 1));
    assert_eq!(story.policy.roster.len(), 0);
}

/// The same, while it waits for a fund to go on with.
#[test]
fn the_thread_that_comes_back_from_blocking_is_not_kept_by_a_pool_that_is_dropped() {
    let mut story = adopted(2, 1, 1);
    story.tell(|policy, now, out| policy.blocked(now, 0, out));
    story.resumed();
    let verdict = story.tell(|policy, now, out| policy.unblocked(now, 0, out)).0;
    assert_eq!(verdict, Verdict::Park);
    let orders = story.tell(Policy::drain).1;
    assert_eq!((orders.wake, story.policy.absences.queued()), (vec![(0, Wake::Loose)], 0));
    assert_eq!((story.policy.admitted(), story.policy.tally().overcommits), (1, 1));
}

/// Once nobody called those that were seen to block, when the last of the others blocked by its own word: they
/// were idle, and nobody knew.
#[test]
fn whoever_was_seen_to_block_is_called_when_nobody_else_is_left() {
    let mut story = Story::with(2, 1, Knobs { lease: None, ..Knobs::default() });
    story.spread();
    let [(other, Wake::Work)] = blocking::until_lent(&mut story)[..] else { panic!("one") };
    story.resumed();
    while story.policy.probes > 0 {
        let _ = story.taken(PLENTY, other, false);
    }
    let (_, orders) = story.tell(|policy, now, out| policy.blocked(now, other, out));
    assert_eq!((story.policy.admitted(), orders.posts), (0, 1));
    let (verdict, _) = story.taken(PLENTY, 1 - other, false);
    assert_eq!((verdict, story.policy.tally().overcommits), (Verdict::Park, 1));
}

/// Once the probe, which nobody took, showed a busy pool: somebody was added for it, and again as soon as that one's
/// token had gone back.
#[test]
fn nobody_waits_for_a_probe_that_is_left_to_the_thread_that_built_the_pool() {
    let mut story = adopted(2, 1, 2);
    // It has run, and comes to no probe: the other worker is added.
    let woken = (0..20).find_map(|_| story.beat(PLENTY, Ran::Busy).wake.pop());
    assert_eq!(woken, Some((1, Wake::Work)));
    story.resumed();
    let mut added = 0;
    for _ in 0..4_000 {
        story.now += 250_000;
        if story.policy.feels(story.now) {
            story.policy.felt(story.now, Some(Felt::default().and(0)));
        }
        let mut orders = story.after(0, PLENTY);
        loop {
            orders = match orders.wake.pop() {
                Some((1, Wake::Turn)) => story.turned(1).1,
                Some((1, Wake::Work)) => {
                    added += 1;
                    story.tell(|policy, now, _| policy.resumed(now)).1
                }
                Some(other) => panic!("{other:?}"),
                None if story.policy.admitted() > 1 && story.policy.probes > 0 => {
                    story.taken(PLENTY, 1, false).1
                }
                None => break,
            };
        }
    }
    // The sweeps after activity ask for somebody to begin them, as long as they go on.
    let sweeps = story.policy.knobs.resweeps as usize + 2;
    assert!(added <= sweeps, "{added} times within a second in which it has not run");
    assert_eq!(story.policy.admitted(), 1);
}

/// Its fund has gone to another worker by then: once it was parked as one of the pool's again when its turn was over,
/// and whatever funded it then was lost to the pool for as long as it did without that.
#[test]
fn the_thread_whose_turn_it_is_when_the_pool_is_dropped_goes_on_as_one_of_it_no_more() {
    let mut story = adopted(3, 2, 2);
    story.spread();
    while story.policy.roster.is_outside(0) {
        story.rests(STARVING, 0, false);
    }
    let other = story.policy.roster.outsiders(0, 1).next().expect("one is funded");
    story.tell(Policy::broadcast);
    while story.policy.sweep.in_turn != Some(0) {
        match story.policy.sweep.in_turn {
            Some(worker) => _ = story.turned(worker),
            None => _ = story.taken(DRY, other, false),
        }
    }
    story.tell(Policy::drain);
    assert_eq!((story.policy.sweep.in_turn, story.policy.admitted()), (None, 1));
    assert_eq!(story.turned(0).0, Verdict::Stay);
    assert!(story.policy.absences.has_gone(0) && !story.policy.roster.is_outside(0));
}

/// The same, parked outside any wait.
#[test]
fn the_thread_is_let_go_from_a_pool_that_is_dropped_wherever_it_is_parked() {
    let mut story = adopted(2, 1, 2);
    story.spread();
    while story.policy.roster.is_outside(0) {
        story.rests(STARVING, 0, false);
    }
    let orders = story.tell(Policy::drain).1;
    assert_eq!((orders.wake, story.policy.roster.len()), (vec![(0, Wake::Loose)], 0));
    assert!(!story.policy.roster.is_outside(0), "nobody surveys it any more");
    assert_eq!(story.policy.roster.take_best(), None);
}

#[test]
fn a_pool_that_could_not_be_built_gives_back_what_it_kept_for_its_threads() {
    let mut story = Story { policy: Policy::new(2, false, Knobs::default()), now: 0, funds: 1 };
    story.enter();
    assert_eq!((story.policy.funds(), story.funds), (1, 0));
    story.tell(|policy, _, out| policy.abandon(out));
    assert_eq!((story.policy.ended(), story.funds), (true, 1));
}

/// Else it would wait for its threads to need a fund, and they for it to end.
#[test]
fn a_dropped_pool_none_of_whose_threads_is_up_ends_with_its_last_call() {
    let mut story = Story { policy: Policy::new(2, false, Knobs::default()), now: 0, funds: 0 };
    story.enter();
    story.tell(Policy::drain);
    assert!(!story.policy.ended());
    story.tell(Policy::leave);
    assert!(story.policy.ended());
}

#[test]
fn whoever_is_idle_in_a_pool_that_is_dropped_is_asked_at_once() {
    let mut story = Story::new(2, true, 1);
    assert_eq!(story.policy.phase, Phase::Slack);
    assert_eq!(story.tell(Policy::drain).1.posts, 1);
}

#[test]
fn a_pool_that_has_ended_lets_everybody_go_on_and_wants_nothing() {
    let mut story = Story::new(2, false, 1);
    story.enter();
    story.resumed();
    story.until_posted();
    story.tell(|policy, _, out| policy.abandon(out));
    assert_eq!((story.policy.ended(), story.funds), (true, 1));
    assert_eq!((story.policy.deadline(), story.policy.demand()), (None, Demand::default()));
    assert_eq!(story.taken(PLENTY, 1, false).0, Verdict::Stay);
    story.tell(|policy, now, out| policy.blocked(now, 1, out));
    let verdicts = [
        story.tell(|policy, now, out| policy.unblocked(now, 1, out)).0,
        story.tell(|policy, now, out| policy.yields(now, 1, out)).0,
        story.tell(|policy, now, out| policy.summoned(now, 1, false, out)).0,
        story.tell(|policy, now, _| policy.started(now, 0)).0,
    ];
    assert_eq!((verdicts, story.policy.tally().absences), ([Verdict::Stay; 4], 0));
}

/// What it waits for is for others to run, perhaps in another pool.
#[test]
fn a_pool_without_calls_needs_a_fund_as_long_as_a_parked_worker_waits() {
    let mut story = Story::new(1, false, 0);
    assert_eq!(story.policy.demand(), Demand::default());
    assert!(story.policy.roster.take_this(0));
    story.policy.roster.park_nested(0, story.now);
    assert_eq!(story.policy.demand().funds, 1);
}
