//! How tokens go from one process to another: who is asked for them, and who takes them.

use super::*;

const NEVER: Nanos = 1_000_000 * MILLISECOND;

/// A pool of 8 within a call that has been given back one token, which others took, and asks all others.
fn passing_on() -> Story {
    // Nothing else is looked at meanwhile.
    let (look, sweep) = ((NEVER, NEVER), NEVER);
    let usual = Knobs::default();
    let mut story = Story::with(8, 8, Knobs { look, sweep, detect: None, lease: None, ..usual });
    story.spread();
    story.beat(PLENTY, Ran::No);
    let _ = story.taken(PLENTY, 7, false);
    while story.policy.release.pending() == 0 {
        story.beat(DRY, Ran::No);
    }
    assert_eq!(story.taken(DRY, 7, false).0, Verdict::Park);
    while story.policy.release.pending() == 0 {
        story.beat(DRY, Ran::No);
    }
    assert!(story.policy.release.asks_several() && story.policy.release.is_wanted());
    story
}

fn active(story: &mut Story, worker: usize) -> Verdict {
    let judged = Judged::Active;
    let sighting = Sighting { worker, nested: false, moved: false, judged, late: false };
    story.tell(|policy, now, out| policy.taken(now, DRY, sighting, out)).0
}

#[test]
fn one_that_proves_busy_leaves_the_others_of_a_round_to_be_asked() {
    let mut story = passing_on();
    let asked = story.policy.release.pending();
    assert_eq!(story.taken(DRY, 6, false).0, Verdict::Park);
    assert_eq!(active(&mut story, 5), Verdict::Stay);
    assert_eq!(story.policy.release.pending(), asked - 1, "the round goes on");
    assert_eq!(story.taken(DRY, 4, false).0, Verdict::Park);
}

#[test]
fn a_round_whose_first_worker_proves_busy_is_over() {
    let mut story = passing_on();
    assert_eq!(active(&mut story, 5), Verdict::Stay);
    assert_eq!(story.policy.release.pending(), 0);
    assert_eq!(story.policy.slack_since, story.now, "the pool is active");
}

#[test]
fn within_a_round_nested_workers_wait_until_they_are_due() {
    let mut story = passing_on();
    let (since, pause) = (story.now, story.policy.knobs.recheck.0);
    assert_eq!(story.taken(DRY, 6, false).0, Verdict::Park);
    story.policy.roster.park_nested(7, since);
    assert!(story.taken(DRY, 5, false).1.wake.is_empty(), "it gives its token up");
    story.now = since + pause;
    let (verdict, orders) = story.taken(DRY, 4, false);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(7, Wake::Work)]));
}

#[test]
fn a_nested_worker_keeps_its_token_for_four_times_as_long_as_others() {
    for (later, verdict) in [(0, Verdict::Park), (1, Verdict::Stay)] {
        let mut story = passing_on();
        let kept = 4 * story.policy.patience();
        assert!(kept < 4 * story.policy.knobs.patience.1, "others want it");
        story.now = story.policy.slack_since + kept - later;
        assert_eq!(story.taken(DRY, 6, true).0, verdict);
    }
}

/// A saturated pool of 8 that found no token for its next two workers.
fn short_of_two() -> Story {
    let mut story = Story::new(8, false, 2);
    story.spread();
    story.beat(DRY, Ran::No);
    assert_eq!(story.policy.demand().funds, 2, "as many as the next step is");
    story
}

fn granted(story: &mut Story) -> Orders {
    story.tell(|policy, now, out| policy.granted(now, 1, out)).1
}

#[test]
fn each_token_that_a_saturated_pool_wanted_wakes_a_worker_as_soon_as_it_comes() {
    let mut story = short_of_two();
    assert_eq!(woken(&granted(&mut story)).len(), 1);
    assert_eq!(story.policy.demand().funds, 1, "the other one is still wanted");
    assert_eq!(woken(&granted(&mut story)).len(), 1);
    assert_eq!((story.policy.admitted(), story.funds), (4, 0));
}

#[test]
fn one_that_comes_when_somebody_has_proved_idle_goes_back() {
    let mut story = short_of_two();
    granted(&mut story);
    story.resumed();
    let _ = story.taken(DRY, 0, false);
    assert!(granted(&mut story).wake.is_empty());
    assert_eq!((story.policy.admitted(), story.funds), (3, 1));
}

#[test]
fn one_that_comes_when_it_is_wanted_no_more_goes_back() {
    let mut story = short_of_two();
    granted(&mut story);
    story.policy.growth.withdraw();
    assert!(granted(&mut story).wake.is_empty());
    assert_eq!((story.policy.admitted(), story.funds), (3, 1));
}

#[test]
fn a_probe_counts_from_when_it_lies_there() {
    let mut story = Story::new(2, false, 2);
    story.enter();
    story.resumed();
    story.until_posted();
    story.now += story.policy.knobs.tau;
    let now = story.now;
    story.policy.posted(now);
    assert!(story.after(0, PLENTY).wake.is_empty(), "only now it has been posted");
    assert_eq!(story.beat(PLENTY, Ran::No).wake.len(), 1);
    assert_eq!(story.now, now + story.policy.knobs.tau);
}

#[test]
fn an_idle_worker_that_is_slow_to_take_a_probe_makes_the_next_one_lie_longer() {
    let mut story = Story::new(3, false, 2);
    story.spread();
    let tau = story.policy.knobs.tau;
    let lies = |story: &mut Story| {
        let _ = story.taken(DRY, 2, false);
        let now = story.now;
        story.tell(|policy, now, out| policy.post(now, 1, out));
        story.policy.deadline().expect("it matures") - now
    };
    assert_eq!(lies(&mut story), tau);
    story.now += tau + tau / 2;
    assert_eq!(lies(&mut story), 3 * tau);
}

/// Else pools that hand one fund round would wake each other without end.
#[test]
fn a_pool_that_makes_way_presses_for_its_fund_later_each_time() {
    let mut story = Story::new(2, true, 1);
    let (least, _) = story.policy.knobs.beat;
    let pauses = [(); 4].map(|()| {
        story.tell(|policy, now, out| policy.post(now, 1, out));
        let lookout = story.policy.lookout().expect("there is one fund");
        assert_eq!(story.taken(STARVING, lookout, false).0, Verdict::Park);
        assert_eq!((story.policy.admitted(), story.policy.demand().starving), (0, false));
        let pause = story.policy.press_at - story.now;
        story.now += pause;
        story.tell(|_, _, out| out.take.funds += 1);
        story.resumed();
        pause
    });
    assert_eq!(pauses, [least, 2 * least, 4 * least, 8 * least]);
}
