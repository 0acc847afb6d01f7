//! Stories of calls that follow each other: what a pool keeps, and what it fetches back at once.

use super::*;

/// Lets a pool of calls that are over give everything back and come to rest.
pub(super) fn rest(story: &mut Story) {
    for _ in 0..1_000 {
        if story.policy.phase == Phase::Dormant {
            return;
        }
        story.beat(PLENTY, Ran::No);
        while story.policy.probes > 0 {
            let outside = (0..story.policy.workers).find(|&worker| story.policy.runs(worker));
            let mut next = outside.map(|taker| story.taken(PLENTY, taker, false).1.wake);
            while let Some(&(worker, Wake::Turn)) = next.as_ref().and_then(|woken| woken.first()) {
                next = Some(story.turned(worker).1.wake);
            }
            if let Some(&(_, Wake::Work)) = next.as_ref().and_then(|woken| woken.first()) {
                story.resumed();
            }
        }
    }
    panic!("never at rest: {:?}", story.policy);
}

#[test]
fn a_pool_that_was_wide_is_soon_as_wide_again() {
    let mut story = Story::new(16, false, 16);
    story.spread();
    story.beat(PLENTY, Ran::No);
    assert_eq!(story.policy.admitted(), 16);
    while story.policy.probes > 0 {
        let _ = story.taken(PLENTY, 3, false);
    }
    story.tell(Policy::leave);
    rest(&mut story);
    let before = story.now;
    assert_eq!(story.enter().wake.len(), 4, "the caller itself wakes these");
    (0..4).for_each(|_| story.resumed());
    assert_eq!(story.beat(PLENTY, Ran::No).wake.len(), 12);
    assert_eq!((story.now, story.policy.admitted()), (before, 16), "and the governor the others");

    // This time they find nothing to do.
    (0..12).for_each(|_| story.resumed());
    story.tell(Policy::leave);
    rest(&mut story);
    assert_eq!(story.enter().wake.len(), 1, "which the next call heeds");
}

#[test]
fn what_went_back_between_two_calls_is_fetched_at_once_if_it_still_lies_there() {
    let mut story = Story::new(4, false, 4);
    story.spread();
    story.beat(PLENTY, Ran::No);
    let _ = story.taken(PLENTY, 3, false);
    story.tell(Policy::leave);
    while story.funds == 0 {
        for _ in 0..story.beat(DRY, Ran::No).posts {
            let _ = story.taken(DRY, 2, false);
        }
    }
    assert_eq!((story.policy.admitted(), story.funds), (3, 1), "the canary");
    assert_eq!(woken(&story.enter()), [(2, Wake::Work)], "by the call itself");
    assert_eq!(story.policy.admitted(), 4);
}

#[test]
fn tokens_are_kept_longer_between_two_calls_once_nobody_wanted_them_there() {
    let mut story = Story::new(4, false, 4);
    story.spread();
    story.beat(PLENTY, Ran::No);
    let mut kept = Vec::new();
    for _ in 0..4 {
        let _ = story.taken(PLENTY, 3, false);
        story.tell(Policy::leave);
        let ended = story.now;
        while story.funds == 0 {
            for _ in 0..story.beat(DRY, Ran::No).posts {
                let _ = story.taken(PLENTY, 2, false);
            }
        }
        kept.push(story.now - ended);
        story.enter();
        story.resumed();
        assert_eq!((story.policy.admitted(), story.funds), (4, 0), "it still lay there");
        story.until_posted();
    }
    let patience = Knobs::default().patience.0;
    let halves: Vec<_> = kept.iter().map(|kept| 2 * kept / patience).collect();
    assert_eq!(halves, [2, 4, 5, 5], "{kept:?}");
}

#[test]
fn where_all_calls_are_announced_whoever_waits_between_two_has_tokens_soon() {
    let kept = |anchored| {
        let mut policy = Policy::new(4, anchored, Knobs::default());
        for _ in 0..3 {
            policy.release.next_round(false, 3, 4);
            policy.release.gave();
            policy.release.postpone(0);
            policy.release.reset();
        }
        2 * policy.patience() / Knobs::default().patience.0
    };
    assert_eq!([false, true].map(kept), [5, 8], "bare calls with gaps of 1 ms need more");
}

#[test]
fn an_added_worker_that_finds_nothing_is_kept_for_half_the_patience() {
    let mut story = Story::new(2, false, 2);
    story.spread();
    let began = story.now;
    let Verdict::Stay = story.taken(PLENTY, 0, false).0 else { panic!("no rival starves") };
    assert_eq!(story.policy.tally().failed_trials, 1);
    assert!(story.beat(DRY, Ran::No).survey, "first it is watched");
    while story.beat(DRY, Ran::No).posts == 0 {}
    let patience = Knobs::default().patience.1;
    let kept = story.now - began;
    assert!((patience / 2..patience * 2 / 3).contains(&kept), "{kept}");
}

#[test]
fn a_pool_of_phases_keeps_what_half_of_its_workers_use() {
    let mut story = Story::new(4, false, 4);
    story.spread();
    story.beat(PLENTY, Ran::No);
    let _ = story.taken(PLENTY, 3, false);
    let (mut counts, hold) = (0, Knobs::default().hold);
    while story.now < 10 * hold {
        story.now = story.policy.deadline().expect("it has idle tokens").max(story.now);
        if story.policy.counts(story.now) {
            counts += usize::from(story.now >= story.policy.slack_since + hold);
            let felt = Felt::default().and(MILLISECOND);
            story.policy.counted(story.now, if counts < 3 { felt.and(MILLISECOND) } else { felt });
        }
        if story.beat(PLENTY, Ran::No).posts > 0 {
            break;
        }
    }
    assert_eq!(counts, 3, "with half of them active it went on");
    assert!(story.now >= 3 * hold);
    assert_eq!(story.policy.release.pending(), 3, "then all that can go");
}

#[test]
fn whoever_worked_last_is_admitted_first_whoever_had_a_turn_since() {
    let mut roster = Roster::new(4, Knobs::default().recheck);
    (0..4).for_each(|worker| roster.step(worker));
    (0..4).for_each(|worker| roster.park_cold(worker, 0));
    assert_eq!(roster.take_best(), Some(3), "nobody has worked yet");
    roster.park_cold(3, 1);
    for worker in 0..3 {
        assert_eq!(roster.take_stale(1), Some(worker));
        roster.park_cold(worker, 1);
    }
    assert_eq!(roster.take_oldest(), Some(3), "for a turn, too");
    assert_eq!(roster.take_warmer(3), None);
    roster.park_cold(3, 1);
    assert_eq!(roster.take_oldest(), Some(0));
    assert_eq!(roster.take_warmer(0), Some(3));
    roster.park_cold(0, 1);
    assert_eq!(roster.take_best(), Some(2), "of those that never worked any will do");
}

#[test]
fn a_pool_whose_threads_are_yet_to_come_keeps_one_fund() {
    let mut policy = Policy::new(3, false, Knobs::default());
    let mut orders = Orders::default();
    policy.enter(0, &mut orders);
    policy.supplied(0, Take { funds: 3, ..Take::default() }, 3, &mut orders);
    assert_eq!((policy.funds(), orders.give), (1, 2));
    assert_eq!(policy.started(1, 0), Verdict::Stay);
}

#[test]
fn a_call_that_is_over_has_nobody_woken_for_it_any_more() {
    let mut story = Story::new(16, false, 16);
    story.policy.growth.started(15);
    story.policy.growth.confirmed(0, 16, 16);
    assert_eq!(story.enter().wake.len(), 4);
    story.tell(Policy::leave);
    assert!(story.after(0, PLENTY).wake.is_empty());
    assert_eq!(story.policy.admitted(), 4);
}

#[test]
fn whoever_parks_within_a_call_is_not_fetched_back_for_what_it_was_to_have_at_its_beginning() {
    let mut story = Story::new(8, false, 8);
    story.policy.growth.started(7);
    story.policy.growth.confirmed(0, 8, 8);
    // Two wait for something else just then.
    let two = [story.policy.roster.take_oldest(), story.policy.roster.take_oldest()];
    story.enter();
    (0..4).for_each(|_| story.resumed());
    assert_eq!(story.beat(PLENTY, Ran::No).wake.len(), 2);
    (0..2).for_each(|_| story.resumed());
    for worker in two.into_iter().flatten() {
        story.policy.roster.park_cold(worker, story.policy.epoch);
    }
    assert!(story.after(0, PLENTY).wake.is_empty());
}

#[test]
fn a_call_of_a_slack_pool_is_asked_soon_whether_it_needs_more_but_not_each_of_many() {
    let mut story = Story::new(4, false, 2);
    let (first, _) = story.policy.knobs.look;
    story.enter();
    story.resumed();
    story.until_posted();
    let _ = story.taken(PLENTY, 3, false);
    for pause in [first / 4, 2 * first] {
        story.policy.looks.probe_at = None;
        story.now = story.policy.last_post + pause;
        story.enter();
        let at = story.now.max(story.policy.last_post + first);
        assert_eq!(story.policy.looks.probe_at, Some(at));
    }
}

#[test]
fn a_call_after_an_idle_time_is_not_swept_at_once() {
    let mut story = Story::new(3, false, 1);
    let sweep = story.policy.knobs.sweep;
    story.enter();
    story.resumed();
    story.tell(Policy::leave);
    rest(&mut story);
    story.now += 10_000 * MILLISECOND;
    story.enter();
    assert_eq!(story.policy.sweep_at(), story.now + sweep);
    // Nor after a fund has come back, which is no matter once somebody calls.
    story.policy.came_back = true;
    story.enter();
    assert_eq!(story.policy.sweep_at(), story.now + sweep);
}

#[test]
fn half_of_the_workers_that_have_run_keep_tokens_unless_nothing_has_changed_for_long() {
    let mut story = Story::new(4, false, 4);
    story.spread();
    story.beat(PLENTY, Ran::No);
    let _ = story.taken(PLENTY, 3, false);
    let hold = story.policy.knobs.hold;
    // One computes, and the other was but woken for something.
    let felt = Felt::default().and(hold).and(10 * MICROSECOND);
    story.now = story.policy.slack_since + hold;
    story.policy.counted(story.now, felt);
    assert_eq!(story.policy.slack_since, story.now);
    story.now += 1_000 * MILLISECOND;
    assert!(story.policy.growth.is_still(story.now));
    story.policy.counted(story.now, felt);
    assert!(story.policy.slack_since < story.now);
    story.policy.counted(story.now, felt.and(hold));
    assert_eq!(story.policy.slack_since, story.now, "several are in jobs");
}

#[test]
fn what_lies_there_is_looked_at_each_time() {
    let mut story = Story::new(4, false, 4);
    story.spread();
    story.policy.release.next_round(true, 3, 4);
    story.policy.release.gave();
    story.policy.release.reset();
    story.after(0, PLENTY);
    assert!(story.policy.release.is_unwanted());
}

#[test]
fn a_pool_of_a_budget_of_its_own_that_tries_in_vain_for_a_fund_asks_for_one() {
    let mut story = Story::new(2, false, 1);
    story.enter();
    story.resumed();
    story.until_posted();
    let _ = story.taken_between_jobs(1);
    assert_eq!(story.policy.demand().funds, 1, "nothing lay there");
}
