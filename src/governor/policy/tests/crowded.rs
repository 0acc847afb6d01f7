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
        let _ = story.tell(|policy, now, out| policy.turned(now, PLENTY, worker, false, out));
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
