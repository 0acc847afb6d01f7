//! Workers that wait for a latch of their own, and when they are let look at it.

use super::*;

/// A pool of six on three funds, whose workers 3, 4 and 5 are parked nested in this order. None is due yet.
fn three_wait() -> Story {
    let mut story = Story::new(6, false, 3);
    story.spread();
    while story.policy.roster.take_oldest().is_some() {}
    for worker in [3, 4, 5] {
        story.policy.roster.park_nested(worker, story.now);
    }
    story.tell(|policy, now, out| policy.post(now, 1, out));
    story
}

/// A nested worker takes a probe; returns who gets its token.
fn next(story: &mut Story, worker: usize, moved: bool) -> Option<usize> {
    let judged = Judged::Quiet;
    let sighting = Sighting { worker, nested: true, moved, judged, late: false };
    let (verdict, orders) = story.tell(|policy, now, out| policy.taken(now, DRY, sighting, out));
    let next = woken(&orders).first().map(|&(worker, _)| worker);
    assert_eq!(verdict == Verdict::Park, next.is_some(), "it keeps its token or hands it on");
    next
}

#[test]
fn once_somebody_has_progressed_each_nested_worker_looks_the_innermost_first() {
    let mut story = three_wait();
    assert_eq!(next(&mut story, 0, true), Some(5));
    assert_eq!(next(&mut story, 5, false), Some(4));
    assert_eq!(next(&mut story, 4, false), Some(3));
    assert_eq!(next(&mut story, 3, false), None, "all of them have looked in vain");
}

#[test]
fn one_whose_wait_has_ended_makes_all_others_look_again() {
    let mut story = three_wait();
    assert_eq!(next(&mut story, 0, true), Some(5));
    assert_eq!(next(&mut story, 5, false), Some(4));
    assert_eq!(next(&mut story, 4, true), Some(5));
    assert_eq!(next(&mut story, 5, false), Some(0));
}

#[test]
fn without_progress_nobody_looks_before_it_is_due() {
    let mut story = three_wait();
    assert_eq!(next(&mut story, 0, false), None);
    story.tell(|policy, now, out| policy.post(now, 1, out));
    story.now = story.policy.roster.next_look().expect("three wait");
    assert_eq!(next(&mut story, 0, false), Some(3));
}

#[test]
fn one_that_should_have_looked_long_ago_does_so_before_those_parked_later() {
    let mut story = three_wait();
    let longest = story.policy.knobs.recheck.1;
    story.now = story.policy.roster.next_look().expect("three wait") + longest;
    assert_eq!(next(&mut story, 0, true), Some(3));
}

/// Once a pool whose nested workers were due one after another kept the only fund from one that starved.
#[test]
fn a_pool_that_starves_waits_for_one_look_and_no_more() {
    let mut story = three_wait();
    let mut next = |worker: usize| {
        // All of them are due.
        story.now += story.policy.knobs.recheck.1;
        let judged = Judged::Quiet;
        let sighting = Sighting { worker, nested: true, moved: false, judged, late: false };
        let (verdict, orders) =
            story.tell(|policy, now, out| policy.taken(now, STARVING, sighting, out));
        assert_eq!(verdict, Verdict::Park);
        (woken(&orders).first().map(|&(worker, _)| worker), story.policy.admitted())
    };
    assert_eq!(next(0), (Some(3), 3));
    assert_eq!(next(3), (None, 2), "it gives its token up");
}

/// Once a wide pool whose workers all waited for each other kept its tokens for as long as they did: each look was
/// followed by the next one, so that nobody was ever asked to give way.
#[test]
fn looks_that_take_all_the_time_there_is_keep_no_token() {
    let mut story = Story::new(64, false, 64);
    story.spread();
    assert_eq!(story.policy.admitted(), 64);
    let begin = story.now;
    let mut next = None;
    while story.policy.admitted() > 1 {
        // A worker needs so long to be woken, to look and to find the next probe.
        story.now += 200 * MICROSECOND;
        assert!(story.now < begin + 500 * MILLISECOND, "kept: {}", story.policy.admitted());
        if story.policy.probes == 0 {
            story.beat(SCARCE, Ran::No);
            continue;
        }
        let worker = next.take().or_else(|| story.policy.roster.outsiders(0, 1).next());
        let (_, orders) = story.taken(SCARCE, worker.expect("somebody is admitted"), true);
        next = woken(&orders).first().map(|&(worker, _)| worker);
        (0..orders.wake.len()).for_each(|_| story.resumed());
    }
}

/// At the end of a wide phase, which has lasted for far longer than idle tokens are kept, two workers of eight come to
/// wait for others; the last probe has `lain` so long. Says what becomes of them if they slept as jobs do that wait.
fn after_a_wide_phase(lain: Nanos) -> [Verdict; 2] {
    let usual = Knobs::default();
    let mut story = Story::with(8, 8, Knobs { detect: None, lease: None, ..usual });
    story.spread();
    story.now += 10 * usual.hold;
    story.policy.phase = Phase::Saturated { since: story.now - lain };
    let judged = Judged::Slept;
    [7, 6].map(|worker| {
        let sighting = Sighting { worker, nested: true, moved: true, judged, late: false };
        let verdict = story.tell(|policy, now, out| policy.taken(now, DRY, sighting, out)).0;
        story.now += usual.recheck.0;
        story.tell(|policy, now, out| policy.post(now, 1, out));
        verdict
    })
}

#[test]
fn those_that_wait_for_others_at_the_end_of_a_wide_phase_keep_their_tokens_for_a_while() {
    let long = Knobs::default().hold / 4;
    assert_eq!(after_a_wide_phase(long), [Verdict::Stay; 2]);
    assert_eq!(after_a_wide_phase(long - 1)[0], Verdict::Park, "it may be idle and slow to wake");
}

#[test]
fn a_wait_that_has_ended_makes_the_next_one_a_short_one() {
    let (least, _) = Knobs::default().recheck;
    let long = 80 * least;
    let look = |between: fn(&mut Roster)| {
        let mut roster = Roster::new(2, Knobs::default().recheck);
        roster.step(0);
        roster.park_nested(0, 0);
        assert!(roster.take_this(0));
        between(&mut roster);
        roster.park_nested(0, long);
        roster.next_look().expect("it waits") - long
    };
    assert_eq!(look(|_| ()), long / 8, "it still waits");
    assert_eq!(look(|roster| roster.progressed(0)), least, "it has run a job");
    let parked = |roster: &mut Roster| {
        roster.park_cold(0, 0);
        assert!(roster.take_this(0));
    };
    assert_eq!(look(parked), least, "it was idle outside any wait");
}
