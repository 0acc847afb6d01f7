//! Stories of a busy pool that takes more workers in.

use super::*;

#[test]
fn a_saturated_pool_doubles_as_long_as_that_helps() {
    let mut story = Story::new(16, false, 16);
    story.enter();
    story.resumed();
    story.until_posted();
    let mut rounds = Vec::new();
    while story.policy.admitted() < 16 {
        let woken = story.beat(PLENTY, Ran::No).wake.len();
        (0..woken).for_each(|_| story.resumed());
        rounds.push(woken);
    }
    assert_eq!(rounds, [1, 2, 4, 8]);
    story.beat(PLENTY, Ran::No);
    assert_eq!(story.policy.deadline(), None, "nothing is left to wait for while all are busy");
}

/// Posted any earlier it was found before the call by the very worker that was woken for it, in one of eleven
/// calls; and that the pool has no worker idle was found out 5 ms later.
#[test]
fn the_first_probe_comes_once_whoever_was_woken_for_the_call_has_looked_for_it() {
    let mut story = Story::new(4, false, 1);
    story.enter();
    let Knobs { tau, look: (again, _), .. } = story.policy.knobs;
    assert!(story.policy.deadline().is_none_or(|at| at > 2 * tau), "it may take long to wake");
    story.now = 2 * tau;
    assert_eq!(story.after(0, PLENTY).posts, 0);
    story.resumed();
    story.until_posted();
    assert_eq!(story.now, 3 * tau);
    // Whoever called waited for a core meanwhile.
    story.now += tau / 2;
    let _ = story.taken(PLENTY, 3, false);
    let begin = story.now;
    story.until_posted();
    assert_eq!(story.now, begin + again);
    story.now += tau / 2;
    let _ = story.taken(PLENTY, 3, false);
    assert_eq!(story.policy.looks.probe_at, None, "but not for ever");
}

#[test]
fn a_saturated_pool_without_tokens_waits_for_one_and_for_nothing_else() {
    let mut story = Story::new(4, false, 1);
    story.spread();
    story.beat(SCARCE, Ran::No);
    assert_eq!(story.policy.demand().funds, 1);
    assert!(!story.policy.demand().starving);
    assert_eq!(story.policy.deadline(), None);
}

#[test]
fn a_fund_that_comes_too_late_goes_straight_back() {
    let mut story = Story::new(4, false, 1);
    story.spread();
    story.beat(SCARCE, Ran::No);
    assert_eq!(story.taken(SCARCE, 3, false).0, Verdict::Stay);
    story.tell(|policy, now, out| policy.granted(now, 1, out));
    assert_eq!((story.policy.admitted(), story.policy.funds(), story.funds), (1, 1, 1));
    assert_eq!(story.policy.demand(), Demand::default());
}

#[test]
fn a_fund_that_comes_between_two_phases_adds_a_worker() {
    let mut story = Story::new(4, false, 1);
    story.spread();
    story.beat(SCARCE, Ran::No);
    let probe =
        Sighting { worker: 3, nested: false, moved: false, judged: Judged::Active, late: false };
    let verdict = story.tell(|policy, now, out| policy.taken(now, SCARCE, probe, out)).0;
    assert_eq!(verdict, Verdict::Stay);
    let ((), orders) = story.tell(|policy, now, out| policy.granted(now, 1, out));
    assert_eq!(woken(&orders), [(2, Wake::Work)]);
    assert_eq!((story.policy.admitted(), story.policy.funds(), story.funds), (2, 2, 0));
    assert_eq!(story.policy.demand(), Demand::default());
    // Nobody has asked for another.
    story.now += 1_000 * MILLISECOND;
    let ((), orders) = story.tell(|policy, now, out| policy.granted(now, 1, out));
    assert_eq!((woken(&orders), story.policy.funds(), story.funds), (Vec::new(), 2, 1));
}

/// Once nobody looked after that until idle tokens were due to go back, 20 ms later.
#[test]
fn a_pool_that_tries_a_second_worker_looks_soon_whether_it_needs_a_third() {
    let knobs = Knobs { detect: None, lease: None, sweep: 1_000 * MILLISECOND, ..Knobs::default() };
    let mut story = Story::with(4, 4, knobs);
    story.enter();
    story.resumed();
    story.until_posted();
    let probe =
        Sighting { worker: 3, nested: false, moved: false, judged: Judged::Active, late: false };
    let ((), orders) = story.tell(|policy, now, out| {
        assert_eq!(policy.taken(now, PLENTY, probe, out), Verdict::Stay);
    });
    assert_eq!((woken(&orders), story.policy.growth.asked()), (vec![(2, Wake::Work)], 0));
    story.resumed();
    let posted = story.policy.last_post;
    // Another look comes after the first pause, for a single worker.
    story.policy.looks.probe_at = None;
    story.until_posted();
    assert!(story.now <= posted + knobs.look.1, "{}", story.now - posted);
}

/// Once a worker that waited for a latch was never taken for one too many, however little it found to do.
#[test]
fn an_added_worker_that_finds_nothing_to_do_has_failed_whether_it_waits_for_a_latch_or_not() {
    for nested in [false, true] {
        let mut story = Story::new(4, false, 4);
        story.enter();
        story.resumed();
        story.until_posted();
        assert_eq!(story.beat(PLENTY, Ran::No).wake.len(), 1);
        story.resumed();
        assert_eq!(story.taken(PLENTY, 2, nested).0, Verdict::Stay);
        assert_eq!(story.policy.tally.failed_trials, 1);
        assert!(story.policy.growth.due() > Some(story.now), "the next one is put off");
    }
}

/// Once each beat at which it ran fetched as many tokens as the pool had ever had a use for.
#[test]
fn a_lookout_that_computes_within_a_call_is_asked_before_others_are_woken() {
    let mut story = Story::new(16, false, 16);
    story.enter();
    story.resumed();
    story.until_posted();
    let _ = story.taken(PLENTY, 15, false);
    // As many were of use before.
    story.policy.growth.started(15);
    story.policy.growth.confirmed(story.now, 16, 16);
    story.now = story.policy.heart.at;
    assert!(story.policy.watches(story.now));
    let orders = story.tell(|policy, now, out| policy.tick(now, PLENTY, Ran::Busy, out)).1;
    assert_eq!((orders.posts, orders.wake.len()), (1, 0), "it may be idle by now");
}

#[test]
fn idle_tokens_are_kept_from_when_added_workers_were_last_seen_to_be_of_use() {
    let mut story = Story::new(4, false, 4);
    story.spread();
    assert!(story.policy.growth.is_on_trial());
    let added = story.now;
    let _ = story.beat(DRY, Ran::No);
    assert!(!story.policy.growth.is_on_trial() && story.now > added);
    assert_eq!(story.policy.slack_since, story.now);
}

/// A pool of four within a call, one of whose tokens went back and lies there when the pool has a use for it again.
fn fetching_back() -> Story {
    let mut story = Story::asked_for_a_token();
    let _ = story.taken(PLENTY, 3, false);
    assert_eq!((story.policy.admitted(), story.policy.release.given()), (3, 1));
    story.tell(|policy, now, out| policy.post(now, 1, out));
    while story.policy.admitted() < 4 {
        story.beat(PLENTY, Ran::No);
    }
    story.resumed();
    assert_eq!(story.policy.release.patience(1), 1, "nobody knows yet");
    story
}

#[test]
fn patience_grows_when_what_was_fetched_back_proves_of_use() {
    let mut story = fetching_back();
    story.beat(PLENTY, Ran::No);
    assert_eq!(story.policy.release.patience(1), 2);

    let mut story = fetching_back();
    let _ = story.taken(PLENTY, 3, false);
    assert_eq!(story.policy.tally().failed_trials, 1);
    story.policy.growth.started(1);
    story.tell(|policy, now, out| policy.post(now, 1, out));
    while story.policy.growth.is_on_trial() {
        story.beat(PLENTY, Ran::No);
    }
    assert_eq!(story.policy.release.patience(1), 1, "it was of none then");
}

#[test]
fn a_pool_that_proves_busy_asks_for_nothing_back_and_looks_as_often_as_at_first() {
    let mut story = Story::new(4, false, 4);
    let (first, longest) = story.policy.knobs.look;
    story.spread();
    story.beat(PLENTY, Ran::No);
    let _ = story.taken(DRY, 3, false);
    while story.policy.release.pending() == 0 {
        story.beat(DRY, Ran::No);
    }
    story.policy.looks.pause = longest;
    while !matches!(story.policy.phase, Phase::Saturated { .. }) {
        story.beat(DRY, Ran::No);
    }
    assert_eq!((story.policy.release.pending(), story.policy.looks.pause), (0, first));
    // Somebody who was busy all the time takes the probe.
    story.policy.looks.pause = longest;
    let judged = Judged::Active;
    let sighting = Sighting { worker: 3, nested: false, moved: false, judged, late: false };
    let _ = story.tell(|policy, now, out| policy.taken(now, DRY, sighting, out));
    assert!(story.policy.looks.pause < longest);
}

#[test]
fn whoever_has_given_its_token_up_ends_the_doubling() {
    let mut story = fetching_back();
    story.beat(PLENTY, Ran::No);
    assert!(story.policy.growth.step() > 1);
    let _ = story.taken(STARVING, 3, false);
    assert_eq!(story.policy.growth.step(), 1);
}
