//! Stories of threads that have yet to come up: of what the program's start handlers do there.

use super::*;

/// A pool none of whose workers is up.
fn unborn(workers: usize, funds: usize) -> Story {
    let knobs = Knobs { detect: None, lease: None, ..Knobs::default() };
    Story { policy: Policy::new(workers, false, knobs), now: 0, funds }
}

fn started(story: &mut Story, worker: usize) -> Verdict {
    story.tell(|policy, now, _| policy.started(now, worker)).0
}

/// Once the pool kept it for the first to come up, which waited in its start handler for the rival's call.
#[test]
fn a_fund_that_is_kept_for_a_thread_goes_to_a_rival_that_starves() {
    let mut story = unborn(2, 1);
    story.enter();
    assert_eq!((story.policy.funds(), story.funds), (1, 0), "for the first to come up");
    story.beat(DRY, Ran::Unknown);
    assert_eq!(story.policy.funds(), 1, "nobody needs it");
    assert!(story.policy.deadline() > Some(story.now), "and that is looked at now and then");
    // Nobody calls for that: the rival may have begun to starve before.
    story.beat(STARVING, Ran::Unknown);
    assert_eq!((story.policy.funds(), story.funds), (0, 1));
    let demand = story.policy.demand();
    assert_eq!(
        (demand.funds, demand.starving),
        (1, false),
        "it lets the rival have it for a while"
    );
    story.beat(DRY, Ran::Unknown);
    assert!(story.policy.demand().starving);
    assert_eq!(started(&mut story, 0), Verdict::Park);
}

/// Else it would be kept for ever, should nobody else come up.
#[test]
fn a_fund_that_is_kept_for_a_thread_is_had_in_its_start_handler() {
    let mut story = unborn(2, 1);
    story.enter();
    assert_eq!(started(&mut story, 0), Verdict::Stay);
    story.until_posted();
    story.tell(|policy, now, out| policy.blocked(now, 0, out));
    assert_eq!((story.policy.admitted(), story.funds), (0, 1), "nobody else is up");
    story.enter();
    assert_eq!(story.policy.funds(), 1, "for the other one, for which 0 may wait");
    let (verdict, orders) = story.taken(DRY, 1, true);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(1, Wake::Work)]));
    assert_eq!((story.policy.admitted(), story.policy.funds()), (1, 1));
}

/// Once the fund of the one that was admitted went back for it, and both ran on.
#[test]
fn a_worker_that_takes_a_probe_in_its_start_handler_parks_as_one_that_has_no_fund() {
    let mut story = unborn(2, 1);
    story.enter();
    assert_eq!(started(&mut story, 0), Verdict::Stay);
    story.until_posted();
    // It waits for another pool, and searches its own meanwhile; at whatever depth of its stack.
    let (verdict, orders) = story.taken(DRY, 1, false);
    assert_eq!((verdict, orders.posts), (Verdict::Park, 1));
    assert_eq!((story.policy.admitted(), story.policy.funds()), (1, 1));
    assert_eq!((story.policy.roster.len(), story.policy.tally().overcommits), (1, 1));
    assert!(story.policy.roster.any_nested(), "it looks at what it waits for now and then");
    // The one that is admitted is idle, and lets it look.
    story.now += MILLISECOND;
    let (verdict, orders) = story.taken(DRY, 0, false);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(1, Wake::Work)]));
    story.resumed();
    assert_eq!(started(&mut story, 1), Verdict::Stay, "it has a fund");
    assert_eq!((story.policy.admitted(), story.policy.funds()), (1, 1));
}

/// Its part of a broadcast may lie in its queues from before.
#[test]
fn a_thread_that_comes_up_within_a_call_and_parks_has_a_turn_soon() {
    let mut story = unborn(3, 1);
    story.enter();
    assert_eq!(started(&mut story, 0), Verdict::Stay);
    story.until_posted();
    assert_eq!(started(&mut story, 1), Verdict::Park);
    let (verdict, orders) = story.taken(PLENTY, 0, false);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(1, Wake::Turn)]), "at once");
}

#[test]
fn the_first_probe_of_a_call_comes_as_late_if_the_pool_was_at_rest_before() {
    let mut story = Story::new(2, false, 1);
    let tau = story.policy.knobs.tau;
    for _ in 0..2 {
        story.enter();
        story.now += 10 * tau;
        assert_eq!(story.after(0, PLENTY).posts, 0, "whoever was woken has not run yet");
        story.resumed();
        let up = story.now;
        story.until_posted();
        assert_eq!(story.now, up + tau);
        // It finds nothing more to do, and another pool needs the fund more.
        let worker = story.policy.lookout().expect("there is one fund");
        assert_eq!(story.taken(PLENTY, worker, false).0, Verdict::Stay);
        story.until_posted();
        let _ = story.taken(STARVING, worker, false);
        story.tell(Policy::leave);
        assert_eq!(story.policy.phase, Phase::Dormant);
        story.policy.made_way = false;
    }
}

#[test]
fn a_probe_lies_there_for_whoever_has_yet_to_be_seen_to_run() {
    let mut story = Story::new(4, false, 4);
    story.enter();
    story.resumed();
    story.until_posted();
    assert_eq!(story.beat(PLENTY, Ran::No).wake.len(), 1);
    // It waits for a core.
    story.now += 100 * MILLISECOND;
    story.resumed();
    assert_eq!(story.policy.deadline(), Some(story.now + story.policy.knobs.tau));
    assert!(story.after(0, PLENTY).wake.is_empty());
}
