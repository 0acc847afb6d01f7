//! Stories of loops of calls, as of a program that divides each of its steps.

use super::resuming::rest;
use super::*;

/// Ends a call of a loop and begins the next. Says whether the deadline has moved meanwhile: then the alarm is put off.
fn next_call(story: &mut Story) -> bool {
    let before = story.policy.deadline();
    let left = story.tell(Policy::leave).1.put_off;
    story.now += 3 * MICROSECOND;
    let entered = story.enter().put_off;
    story.now += 20 * MICROSECOND;
    let after = story.policy.deadline();
    assert_eq!(left || entered, after != before, "{before:?} and {after:?}");
    after != before
}

/// A pool of two that are admitted, and so many parked ones, within a loop of calls.
fn in_a_loop(parked: usize) -> Story {
    let mut story = Story::new(2 + parked, false, 2);
    story.spread();
    story.beat(PLENTY, Ran::No);
    let _ = story.taken(PLENTY, 1 + parked, false);
    for _ in 0..5 {
        story.tell(Policy::leave);
        story.now += 3 * MICROSECOND;
        story.enter();
        story.now += 20 * MICROSECOND;
    }
    story
}

#[test]
fn the_first_calls_of_a_loop_do_not_move_the_deadline() {
    let mut story = in_a_loop(0);
    let patrol = story.policy.deadline();
    (0..8).for_each(|_| assert!(!next_call(&mut story)));
    story.tell(Policy::leave);
    let left = story.now;
    let orders = story.beat(DRY, Ran::No);
    assert_eq!((Some(story.now), orders.posts), (patrol, 1), "idle tokens are asked for back");
    assert!(story.now <= left + MILLISECOND);
}

#[test]
fn where_others_want_tokens_calls_in_a_loop_never_move_the_deadline() {
    let mut story = in_a_loop(0);
    let release = &mut story.policy.release;
    release.next_round(true, 1, 2);
    release.gave();
    release.next_round(true, 1, 2);
    release.reset();
    assert!(release.is_wanted());
    let patrol = story.policy.deadline();
    while patrol > Some(story.now + 50 * MICROSECOND) {
        assert!(!next_call(&mut story));
    }
    story.tell(Policy::leave);
    let left = story.now;
    let orders = story.beat(DRY, Ran::No);
    assert_eq!((Some(story.now), orders.posts), (patrol, 0), "one look for nothing");
    assert_eq!(story.beat(DRY, Ran::No).posts, 1);
    assert!(story.now <= left + Knobs::default().patience.0, "then at once, nearly");
}

#[test]
fn calls_in_a_loop_put_the_deadline_off_now_and_then() {
    let mut story = in_a_loop(0);
    let mut moves = 0;
    for _ in 0..1_000 {
        moves += usize::from(next_call(&mut story));
        assert!(story.policy.deadline() > Some(story.now), "nobody is woken");
    }
    assert!((8..=12).contains(&moves), "{moves} times in 23 ms");
    let patrol = story.policy.deadline();
    story.tell(Policy::leave);
    let left = story.now;
    let orders = story.beat(DRY, Ran::No);
    assert_eq!((Some(story.now), orders.posts), (patrol, 1), "idle tokens are asked for back");
    assert!(story.now <= left + 8 * MILLISECOND);
    assert_eq!(story.taken(DRY, 0, false).0, Verdict::Park);
}

#[test]
fn a_sweep_that_is_due_does_not_wait_for_the_end_of_a_loop() {
    let mut story = in_a_loop(1);
    for _ in 0..100_000 {
        if story.policy.deadline() <= Some(story.now) {
            let due = story.policy.unhurried();
            assert!(due <= Some(story.now), "{due:?} at {}", story.now);
            return;
        }
        next_call(&mut story);
    }
    panic!("the pool is not looked after: {:?}", story.policy);
}

/// Once it kept them for as long as a patrol may be away. The ends of what was left to do are no loop either.
#[test]
fn a_pool_that_is_dropped_after_a_loop_gives_its_tokens_back_at_once() {
    for left in [0, 8] {
        let mut story = in_a_loop(0);
        for _ in 0..1_000 {
            next_call(&mut story);
        }
        story.tell(Policy::leave);
        for _ in 0..left {
            story.enter();
        }
        story.tell(Policy::drain);
        for _ in 0..left {
            story.now += 10 * MICROSECOND;
            story.tell(Policy::leave);
        }
        let over = story.now;
        while story.funds == 0 {
            let idle = story.policy.sample().next().expect("both are admitted");
            story.rests(DRY, idle, false);
        }
        assert!(story.now < over + MILLISECOND / 2, "after {} ns", story.now - over);
    }
}

/// Does what is due, and has the idle worker that is admitted take the probe, if that posts one.
fn looked_after(story: &mut Story) -> bool {
    let due = story.policy.deadline().is_some_and(|at| at <= story.now);
    let posts = due && story.after(0, PLENTY).posts > 0;
    if posts {
        let idle = story.policy.sample().next().expect("one is admitted");
        let _ = story.taken(PLENTY, idle, false);
    }
    posts
}

/// Calls of 20 µs for so long, one worker of two being admitted: when probes are posted for them.
fn probes_for_calls(story: &mut Story, time: Nanos) -> Vec<Nanos> {
    let mut posted = Vec::new();
    let end = story.now + time;
    while story.now < end {
        story.enter();
        story.now += 20 * MICROSECOND;
        if looked_after(story) {
            posted.push(story.now);
        }
        story.tell(Policy::leave);
        story.now += 3 * MICROSECOND;
    }
    posted
}

/// Once each loop with gaps had two probes a millisecond for as long as it went on, all for nothing.
#[test]
fn the_longer_a_loop_goes_on_the_more_rarely_it_is_asked_whether_more_are_of_use() {
    let mut story = Story::new(2, false, 1);
    let posted = probes_for_calls(&mut story, 60 * MILLISECOND);
    let pauses: Vec<_> = posted.windows(2).map(|two| two[1] - two[0]).collect();
    let (first, longest) = story.policy.knobs.look;
    assert!(pauses[0] < 2 * first && pauses[pauses.len() - 1] >= longest, "{pauses:?}");
    assert!(pauses.iter().all(|&pause| pause <= longest + MILLISECOND), "{pauses:?}");
}

/// Once those that had not had their turns waited for them for another 100 ms.
#[test]
fn a_sweep_that_a_call_of_a_loop_breaks_off_goes_on_with_the_next_idle_worker() {
    let mut story = Story::new(4, false, 1);
    let mut turns = Vec::new();
    let mut begun = None;
    for _ in 0..20_000 {
        story.enter();
        if let Some(worker) = story.policy.sweep.in_turn {
            begun.get_or_insert(story.now);
            turns.push(worker);
            let _ = story.turned(worker);
        }
        story.now += 20 * MICROSECOND;
        story.tell(Policy::leave);
        looked_after(&mut story);
        story.now += 3 * MICROSECOND;
        if turns.len() == 3 {
            break;
        }
    }
    turns.sort_unstable();
    turns.dedup();
    assert_eq!(turns.len(), 3, "each parked worker has one");
    let took = story.now - begun.expect("a sweep has begun");
    assert!(took < 20 * MILLISECOND, "{took} ns");
}

/// Calls of 16 µs of two workers one after another, for 20 ms: whoever takes a probe has been at work, and what the
/// other one runs is such a part of the time.
fn short_calls(story: &mut Story, part: Nanos) {
    let mut looked = story.now;
    for _ in 0..1_000 {
        let mut woken = story.enter().wake.len();
        story.now += 16_000;
        let now = story.now;
        if story.policy.deadline().is_some_and(|at| at <= now) {
            if story.policy.feels(now) {
                let elapsed = now - std::mem::replace(&mut looked, now);
                let felt = Felt::default().and(elapsed * 3 / 4);
                let both = story.policy.admitted() > 1;
                story.policy.felt(now, Some(if both { felt.and(elapsed / part) } else { felt }));
            }
            woken += story.after(0, PLENTY).wake.len();
        }
        while story.policy.probes > 0 {
            let worker = story.policy.lookout().unwrap_or(0);
            woken += story.taken_between_jobs(worker).wake.len();
        }
        (0..woken).for_each(|_| story.resumed());
        story.tell(Policy::leave);
        story.now += 1_000;
    }
    assert_eq!(story.policy.admitted(), 2);
}

/// In a loop of sections of 16 µs the second worker came after 1.3 ms each time, and after 25 ms now and then.
#[test]
fn a_loop_of_short_calls_has_at_once_as_many_workers_as_the_one_before_made_use_of() {
    for (part, workers) in [(2, 2), (4, 2), (5, 1)] {
        let mut story = Story::new(2, false, 2);
        short_calls(&mut story, part);
        rest(&mut story);
        assert_eq!(story.enter().wake.len(), workers, "the idlest ran a {part}th of the time");
    }
}
