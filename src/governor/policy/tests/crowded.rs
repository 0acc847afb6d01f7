//! Stories of a machine where every core is wanted, and workers are slow to run and to fall asleep.

use super::*;

/// A pool that nobody announces calls to, idle for a while: its lookout has just been checked on by a
/// probe that nobody has taken for as long as makes a pool saturated.
fn checked_on() -> Story {
    let mut story = Story::new(8, true, 8);
    // Its own beginning is followed by sweeps.
    for _ in 0..1_000 {
        let orders = story.beat(PLENTY, Ran::No);
        if orders.posts == 0 {
            continue;
        }
        if story.policy.heart.quiet > 20 {
            story.now = story.policy.deadline().expect("it listens");
            return story;
        }
        answer(&mut story);
    }
    panic!("nobody checks on it: {:?}", story.policy);
}

/// The lookout takes the probe, and the parked workers have their turns, if it is time for that.
fn answer(story: &mut Story) {
    let _ = story.taken(PLENTY, 0, false);
    while let Some(worker) = story.policy.sweep.in_turn {
        let _ = story.turned(worker);
    }
    story.resumed();
}

#[test]
fn a_lookout_that_waits_for_a_core_is_not_busy() {
    let mut story = checked_on();
    assert!(story.policy.doubts(story.now));
    for _ in 0..50 {
        let now = story.now;
        story.policy.starved(now);
        let orders = story.after(0, PLENTY);
        assert!(orders.wake.is_empty(), "{orders:?}");
        story.now = story.policy.deadline().expect("it listens");
    }
    assert_eq!(story.policy.admitted(), 1, "it has no use for a token");
    assert_eq!(story.after(0, PLENTY).wake.len(), 1, "unless it was in a job all the time");
}

#[test]
fn a_lookout_that_is_checked_on_takes_no_token_for_a_try() {
    let mut story = checked_on();
    answer(&mut story);
    // It may block in a job rather than sleep.
    story.policy.doubtful = true;
    while story.beat(PLENTY, Ran::No).posts == 0 {}
    story.now += 60 * MICROSECOND;
    let judged = Judged::Unknown;
    let sighting = Sighting { worker: 0, nested: false, moved: false, judged, late: false };
    let (verdict, orders) = story.tell(|policy, now, out| policy.taken(now, PLENTY, sighting, out));
    assert_eq!((verdict, orders.wake.len()), (Verdict::Stay, 0));
    assert_eq!((story.policy.admitted(), story.policy.is_called()), (1, false));
}

#[test]
fn the_longer_a_lookout_takes_to_fall_asleep_the_less_often_it_is_looked_at() {
    let mut story = checked_on();
    answer(&mut story);
    let begin = story.now;
    let looks = (0..).take_while(|_| {
        if story.beat(PLENTY, Ran::Unsettled).posts > 0 {
            answer(&mut story);
        }
        story.now < begin + 100 * MILLISECOND
    });
    assert!(looks.count() < 30);
}

/// Once it passed for idle, and its jobs lay for as long as a pool at rest leaves its parked workers alone.
#[test]
fn a_lookout_that_sleeps_in_a_job_right_after_a_probe_passes_for_busy() {
    let mut story = checked_on();
    answer(&mut story);
    story.now = story.policy.heart.at;
    let tick = |policy: &mut Policy, now, out: &mut _| policy.tick(now, PLENTY, Ran::Waits, out);
    assert_eq!(story.tell(tick).1.posts, 1);
    let mut beats = (0..9).map(|_| story.beat(PLENTY, Ran::Unknown).wake.len());
    assert!(beats.any(|woken| woken > 0), "somebody is to steal what it has left");
}

/// Once that was measured from the last probe: a busy pool that had just given its other tokens up, long after it had
/// posted one, left its last worker alone for as long with a queue full of jobs.
#[test]
fn a_lookout_is_soon_looked_at_again_however_long_ago_a_probe_was_posted() {
    let mut story = Story::new(2, true, 1);
    story.enter();
    story.until_posted();
    let _ = story.beat(DRY, Ran::Unknown);
    story.now += 20 * MILLISECOND;
    answer(&mut story);
    story.now = story.policy.heart.at;
    assert!(story.policy.watches(story.now), "{:?}", story.policy);
    let tick = |policy: &mut Policy, now, out: &mut _| policy.tick(now, DRY, Ran::Unsettled, out);
    let ((), orders) = story.tell(tick);
    assert_eq!(orders.posts, 0, "it may be on its way to sleep");
    assert!(story.policy.heart.at <= story.now + 2 * MILLISECOND, "{:?}", story.policy);
}

/// A pool of two whose lookout cannot be watched, after some beats; a probe has just been posted.
fn unwatched(beats: usize) -> Story {
    let mut story = Story::new(2, true, 2);
    for _ in 0..beats {
        if story.beat(PLENTY, Ran::Unknown).posts > 0 {
            let lookout = story.policy.lookout().expect("one is admitted");
            let _ = story.taken(PLENTY, lookout, false);
        }
        if let Some(worker) = story.policy.sweep.in_turn {
            let _ = story.turned(worker);
        }
    }
    while story.beat(PLENTY, Ran::Unknown).posts == 0 {}
    story
}

/// Once such a pool fetched a token now and then for a probe that was taken but 0.3 ms late.
#[test]
fn a_lookout_that_cannot_be_watched_may_be_slow_to_wake_after_a_long_time() {
    let fetches = |beats, late| {
        let mut story = unwatched(beats);
        !story.after(late, PLENTY).wake.is_empty()
    };
    assert!(fetches(5, 300 * MICROSECOND), "it may be called");
    assert!(!fetches(1_000, 300 * MICROSECOND));
    assert!(fetches(1_000, MILLISECOND), "it was in a job all the time");
}

#[test]
fn a_turn_that_lasts_longer_than_a_wake_up_lately_took_is_followed_by_a_probe() {
    let pause = |woke| {
        let mut story = checked_on();
        answer(&mut story);
        story.policy.maturity.taken_idle(woke);
        while story.policy.sweep.in_turn.is_none() {
            if story.beat(PLENTY, Ran::No).posts > 0 {
                let _ = story.taken(PLENTY, 0, false);
            }
        }
        story.policy.looks.probe_at.map(|at| at - story.now)
    };
    assert_eq!(pause(30 * MICROSECOND), Some(200 * MICROSECOND));
    // It is a bit less after each wake-up that is quicker.
    assert_eq!(pause(200 * MICROSECOND), Some(1_400 * MICROSECOND));
}
