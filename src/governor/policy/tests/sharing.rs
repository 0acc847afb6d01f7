//! What busy pools and slack ones give up to others, and who is asked for it.

use super::*;

#[test]
fn a_call_that_looks_after_a_nested_worker_puts_no_offer_off() {
    let knobs = Knobs { detect: None, ..Knobs::default() };
    let mut story = Story::with(4, 3, knobs);
    story.spread();
    let nested = story.policy.roster.take_oldest().expect("there are but three funds");
    story.policy.roster.park_nested(nested, story.now);
    let offers = |story: &mut Story| while !story.beat(DRY, Ran::No).offer {};
    let call = |story: &mut Story, worker| {
        story.tell(|policy, now, out| policy.called_to_offer(now, worker, false, out))
    };
    offers(&mut story);
    let (verdict, orders) = call(&mut story, 3);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(nested, Wake::Work)]));
    assert_eq!((story.policy.admitted(), story.funds), (3, 0), "it has its turn first");
    story.resumed();
    let before = story.now;
    offers(&mut story);
    let (shortest, _) = knobs.lease.expect("the default").pause;
    assert!(story.now <= before + shortest, "{}", story.now - before);
    assert_eq!(call(&mut story, 2).0, Verdict::Park);
    assert_eq!(story.policy.tally().turns, 1, "then comes the offer, after a turn of the other");
}

/// A pool within a call whose worker 3 is asked for its token, with `taken` after others took one.
fn asked(taken: bool) -> Story {
    let mut story = Story::new(4, false, 4);
    story.spread();
    story.beat(PLENTY, Ran::No);
    let _ = story.taken(PLENTY, 3, false);
    while story.policy.release.pending() == 0 {
        story.beat(DRY, Ran::No);
    }
    if taken {
        story.policy.release.gave();
        story.policy.release.next_round(true, 3, 4);
    }
    story
}

#[test]
fn whoever_takes_a_probe_late_is_busy_in_an_announced_call_too() {
    for (late, verdict) in [(true, Verdict::Stay), (false, Verdict::Park)] {
        let sighting =
            Sighting { worker: 3, nested: false, moved: false, judged: Judged::Quiet, late };
        let taken = asked(false).tell(|policy, now, out| policy.taken(now, DRY, sighting, out));
        assert_eq!(taken.0, verdict);
    }
}

#[test]
fn of_whom_nothing_is_known_gives_way_only_where_others_take_tokens() {
    for (wanted, verdict) in [(true, Verdict::Park), (false, Verdict::Stay)] {
        let mut story = asked(wanted);
        let judged = Judged::Unknown;
        let sighting = Sighting { worker: 3, nested: false, moved: false, judged, late: false };
        assert_eq!(story.policy.release.is_wanted(), wanted);
        let taken = story.tell(|policy, now, out| policy.taken(now, DRY, sighting, out));
        assert_eq!(taken.0, verdict);
    }
}

#[test]
fn whoever_slept_like_a_job_is_asked_in_vain_once_nobody_wants_tokens() {
    for (unwanted, verdict) in [(true, Verdict::Stay), (false, Verdict::Park)] {
        let mut story = asked(false);
        if unwanted {
            // One went back in an earlier slack, and still lies there.
            story.policy.release.gave();
            story.policy.release.reset();
            story.policy.release.saw(1);
            story.policy.release.next_round(true, 3, 4);
        }
        let judged = Judged::Slept;
        let sighting = Sighting { worker: 3, nested: false, moved: false, judged, late: false };
        let taken = story.tell(|policy, now, out| policy.taken(now, DRY, sighting, out));
        assert_eq!(taken.0, verdict);
    }
}

/// Once its part of a broadcast was over, the others waited for theirs for fifty times as long as after any
/// other activity.
#[test]
fn a_wait_that_ends_when_the_fund_has_come_back_is_activity() {
    let mut story = Story::new(4, true, 1);
    let sweep = story.policy.knobs.sweep;
    let probe = |story: &mut Story, market, nested, moved| {
        if story.policy.probes == 0 {
            story.tell(|policy, now, out| policy.post(now, 1, out));
        }
        let judged = Judged::Quiet;
        let sighting = Sighting { worker: 0, nested, moved, judged, late: false };
        story.tell(|policy, now, out| policy.taken(now, market, sighting, out))
    };
    // It runs its copy, which calls another pool that has nothing to run on.
    assert_eq!(probe(&mut story, STARVING, true, true).0, Verdict::Park);
    assert_eq!((story.policy.admitted(), story.funds), (0, 1));
    story.now += MILLISECOND;
    let ((), orders) = story.tell(|_, _, out| out.take += 1);
    assert_eq!(woken(&orders), [(0, Wake::Work)]);
    story.resumed();
    let back = story.now;
    let mut moved = true;
    loop {
        let orders = probe(&mut story, DRY, true, std::mem::take(&mut moved)).1;
        if woken(&orders).iter().any(|&(_, why)| why == Wake::Turn) {
            break;
        }
        story.now += MILLISECOND / 4;
        assert!(story.now <= back + 5 * sweep, "the parked workers' copies lie there");
    }
}
