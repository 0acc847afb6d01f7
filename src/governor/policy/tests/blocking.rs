//! Stories of workers that wait in the program, and of who runs meanwhile.

use super::*;

/// Has busy workers block without a word until that is seen, and says who is woken for them.
pub(super) fn until_lent(story: &mut Story) -> Vec<(usize, Wake)> {
    loop {
        story.now = story.policy.deadline().expect("it is looked for").max(story.now);
        if story.policy.inspects(story.now) {
            let look = |policy: &mut Policy, now, out: &mut Orders| {
                policy.inspect(now, |_| Stillness::Blocked, out);
            };
            let woken = story.tell(look).1.wake;
            if !woken.is_empty() {
                return woken;
            }
        } else {
            story.beat(SCARCE, Ran::No);
        }
    }
}

#[test]
fn a_worker_that_blocks_hands_its_fund_on_and_comes_back_before_idle_ones() {
    let mut story = Story::new(2, false, 1);
    story.spread();
    let (_, orders) = story.tell(|policy, now, out| policy.blocked(now, 1, out));
    assert_eq!(orders.wake, [(0, Wake::Work)], "the only parked one");
    story.resumed();
    let (verdict, orders) = story.tell(|policy, now, out| policy.unblocked(now, 1, out));
    assert_eq!((verdict, orders.wake), (Verdict::Park, Vec::new()), "there is but one fund");
    assert_eq!(story.policy.demand().funds, 1);
    let (verdict, orders) = story.taken(SCARCE, 0, false);
    assert_eq!((verdict, orders.wake), (Verdict::Park, vec![(1, Wake::Work)]));
    assert_eq!(story.policy.demand().funds, 0);
}

#[test]
fn a_pool_whose_only_worker_blocks_wants_nothing_until_it_is_back() {
    let mut story = Story::new(1, false, 1);
    story.enter();
    story.resumed();
    story.tell(|policy, now, out| policy.blocked(now, 0, out));
    assert_eq!((story.policy.funds(), story.policy.demand()), (0, Demand::default()));
    assert_eq!(story.policy.deadline(), None);
    let (_, orders) = story.tell(|policy, now, out| policy.unblocked(now, 0, out));
    assert_eq!(orders.wake, [(0, Wake::Work)]);
    assert_eq!(story.policy.admitted(), 1);
}

/// Once it kept the fund that it had got for the jobs it ran within the first closure, and what the second one waited
/// for never ran.
#[test]
fn one_that_blocks_within_such_a_closure_gives_up_what_it_has_got_there() {
    let mut story = Story::new(2, false, 1);
    story.spread();
    let again =
        |story: &mut Story| story.tell(|policy, now, out| policy.blocked_again(now, 1, out));
    story.tell(|policy, now, out| policy.blocked(now, 1, out));
    story.resumed();
    assert!(!again(&mut story).0, "it has nothing");
    // It waits for jobs there, and parks; then the other is idle and lets it look.
    assert_eq!(story.taken(DRY, 1, true).0, Verdict::Park);
    story.now += MILLISECOND;
    assert_eq!(woken(&story.taken(DRY, 0, false).1), [(1, Wake::Work)]);
    story.resumed();
    let (funded, orders) = again(&mut story);
    assert!(funded);
    assert_eq!(woken(&orders), [(0, Wake::Work)]);
    story.resumed();
    // Both closures end.
    let back = |policy: &mut Policy, now, out: &mut _| policy.unblocked(now, 1, out);
    assert_eq!(story.tell(back).0, Verdict::Park);
    assert_eq!(woken(&story.taken(DRY, 0, false).1), [(1, Wake::Work)]);
    assert_eq!(story.tell(back).0, Verdict::Stay);
}

#[test]
fn one_that_waits_too_long_where_nobody_can_be_seen_to_block_goes_on_unfunded() {
    let mut story = Story::new(2, false, 1);
    story.spread();
    story.tell(|policy, now, out| policy.blocked(now, 1, out));
    story.resumed();
    let _ = story.tell(|policy, now, out| policy.unblocked(now, 1, out));
    let mut woken = Vec::new();
    while woken.is_empty() {
        woken = story.beat(SCARCE, Ran::No).wake;
    }
    assert_eq!(woken, [(1, Wake::Loose)]);
    assert!(story.now >= Knobs::default().forbearance);
    assert_eq!((story.policy.admitted(), story.policy.tally().overcommits), (1, 1));
    // It has run out of work, and has nothing to give up.
    let (verdict, orders) = story.taken(SCARCE, 1, false);
    assert_eq!((verdict, orders.give), (Verdict::Park, 0));
    assert_eq!(story.policy.admitted(), 1);
}

#[test]
fn a_fund_is_lent_while_its_worker_sleeps_and_paid_back_when_it_wakes() {
    let mut story = Story::with(2, 1, Knobs::default());
    story.spread();
    let busy = if story.policy.runs(0) { 0 } else { 1 };
    let lent = until_lent(&mut story);
    assert_eq!(lent, [(1 - busy, Wake::Work)]);
    story.resumed();
    assert_eq!((story.policy.admitted(), story.policy.tally().lendings), (1, 1));
    story.now = story.policy.deadline().expect("it is looked after").max(story.now);
    while !story.policy.inspects(story.now) {
        story.beat(SCARCE, Ran::No);
        story.now = story.policy.deadline().expect("it is looked after").max(story.now);
    }
    story.tell(|policy, now, out| policy.inspect(now, |_| Stillness::Runs, out));
    assert_eq!(story.policy.tally().overcommits, 1, "both run");
    let (verdict, orders) = story.taken(SCARCE, 1 - busy, false);
    assert_eq!((verdict, orders.wake), (Verdict::Park, Vec::new()), "the other one runs already");
    assert!(story.policy.runs(busy) && !story.policy.runs(1 - busy));
}

#[test]
fn one_that_was_seen_to_block_is_looked_at_although_nobody_else_is_left() {
    let mut story = Story::with(2, 1, Knobs::default());
    story.spread();
    let blocks = if story.policy.runs(0) { 0 } else { 1 };
    until_lent(&mut story);
    story.resumed();
    let (_, orders) = story.tell(|policy, now, out| policy.blocked(now, 1 - blocks, out));
    assert_eq!((orders.wake, story.policy.admitted(), story.funds), (Vec::new(), 0, 1));
    let due = story.policy.deadline().expect("it is looked after");
    story.now = due.max(story.now);
    assert!(story.policy.inspects(story.now));
    story.tell(|policy, now, out| policy.inspect(now, |_| Stillness::Runs, out));
    assert_eq!((story.policy.admitted(), story.funds), (1, 0), "there is a fund for it");
    assert_eq!(story.policy.tally().overcommits, 1);
}

#[test]
fn before_anybody_has_proved_idle_the_fund_of_one_that_blocks_goes_to_a_parked_worker() {
    let (workers, funds) = (8, 4);
    let mut story = Story::new(workers, false, funds);
    story.policy.growth.recalled(3);
    assert!(story.policy.growth.confirmed(0, funds, workers));
    let admitted = story.enter().wake;
    assert_eq!(admitted.len(), funds, "as many as were of use before");
    (0..funds).for_each(|_| story.resumed());
    let (blocks, _) = admitted[0];
    let (_, orders) = story.tell(|policy, now, out| policy.blocked(now, blocks, out));
    assert_eq!((orders.wake.len(), story.funds), (1, 0));
    story.resumed();
    // Somebody does prove idle: he takes the probe that was posted for that.
    let (idle, _) = admitted[1];
    let _ = story.taken(PLENTY, idle, false);
    let (blocks, _) = admitted[2];
    let (_, orders) = story.tell(|policy, now, out| policy.blocked(now, blocks, out));
    assert_eq!((orders.wake, story.funds), (Vec::new(), 1), "now it goes back");
}

#[test]
fn a_fund_that_one_who_comes_back_takes_for_itself_is_no_sign_of_need() {
    let mut story = Story::with(4, 2, Knobs { lease: None, ..Knobs::default() });
    story.spread();
    let busy = (0..4).find(|&worker| story.policy.runs(worker)).expect("two run");
    story.tell(|policy, now, out| policy.blocked(now, busy, out));
    story.resumed();
    while !matches!(story.policy.phase, Phase::Saturated { .. }) {
        story.beat(PLENTY, Ran::No);
    }
    // The other one has its fund; this one finds one of its own.
    story.policy.growth.withdraw();
    story.funds = 1;
    let (verdict, orders) = story.tell(|policy, now, out| policy.unblocked(now, busy, out));
    assert_eq!((verdict, orders.wake), (Verdict::Park, vec![(busy, Wake::Work)]));
    assert_eq!((story.policy.admitted(), story.policy.demand().funds), (3, 0));
}

#[test]
fn where_a_fund_would_be_of_no_use_to_others_nobody_is_looked_at() {
    for rival in [false, true] {
        let mut story = Story::with(1, 1, Knobs { lease: None, ..Knobs::default() });
        story.spread();
        let market = if rival { STARVING } else { DRY };
        while !matches!(story.policy.phase, Phase::Saturated { .. }) {
            story.beat(market, Ran::No);
        }
        assert_eq!(story.policy.deadline().is_some(), rival);
    }
}

#[test]
fn workers_that_run_are_looked_at_for_blocking_after_pauses_that_double() {
    let knobs = Knobs { lease: None, ..Knobs::default() };
    let detect = knobs.detect.expect("the default");
    let mut story = Story::with(2, 1, knobs);
    story.spread();
    let mut looks = Vec::new();
    while looks.len() < 8 {
        story.now = story.policy.deadline().expect("it is looked at").max(story.now);
        if story.policy.inspects(story.now) {
            looks.push(story.now);
            story.tell(|policy, now, out| policy.inspect(now, |_| Stillness::Runs, out));
        } else {
            story.beat(SCARCE, Ran::No);
        }
    }
    let pauses: Vec<_> = looks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let doubled = [1, 2, 4, 8, 16, 20, 20].map(|halves| halves * detect / 2);
    assert_eq!(pauses, doubled);
}

/// Nobody else is left who would.
#[test]
fn a_dropped_pool_ends_when_the_last_that_was_seen_to_block_has_run_out_of_work() {
    let mut story = Story::with(1, 1, Knobs { lease: None, ..Knobs::default() });
    story.spread();
    while story.policy.admitted() > 0 {
        story.now = story.policy.deadline().expect("another pool starves").max(story.now);
        if story.policy.inspects(story.now) {
            story.tell(|policy, now, out| policy.inspect(now, |_| Stillness::Blocked, out));
        } else {
            story.beat(STARVING, Ran::No);
        }
    }
    story.tell(Policy::drain);
    story.tell(Policy::leave);
    assert!(!story.policy.ended(), "it may go on any time");
    let (verdict, orders) = story.taken(DRY, 0, false);
    assert_eq!((verdict, orders.wake), (Verdict::Park, vec![]));
    // What it has run since it was seen to block may have left something behind.
    let orders = story.tell(|policy, now, out| policy.granted(now, 1, out)).1;
    assert_eq!(orders.wake, [(0, Wake::Work)]);
    story.resumed();
    story.until_posted();
    let (verdict, orders) = story.taken(DRY, 0, false);
    assert_eq!((verdict, orders.wake), (Verdict::Park, vec![(0, Wake::Leave)]));
    assert!(story.policy.ended());
}

#[test]
fn one_that_comes_back_where_nobody_is_admitted_presses_for_a_fund_at_once() {
    let mut story = Story::new(1, false, 1);
    story.spread();
    story.tell(|policy, now, out| policy.blocked(now, 0, out));
    story.funds = 0;
    let _ = story.tell(|policy, now, out| policy.unblocked(now, 0, out));
    assert_eq!(story.policy.demand(), Demand { funds: 1, starving: true, tokens_only: false });
}

/// Else whoever is idle would keep its fund from it.
#[test]
fn whoever_is_idle_is_asked_for_its_fund_as_soon_as_one_comes_back() {
    let mut story = Story::new(3, false, 2);
    story.spread();
    while story.policy.probes > 0 {
        let _ = story.taken(DRY, 2, false);
    }
    assert_eq!(story.policy.phase, Phase::Slack);
    story.tell(|policy, now, out| policy.blocked(now, 1, out));
    story.funds = 0;
    let (verdict, orders) = story.tell(|policy, now, out| policy.unblocked(now, 1, out));
    assert_eq!((verdict, orders.posts), (Verdict::Park, 1));
    let (verdict, orders) = story.taken(DRY, 2, false);
    assert_eq!((verdict, orders.wake), (Verdict::Park, vec![(1, Wake::Work)]));
}

#[test]
fn the_fund_of_one_that_blocks_beside_an_idle_one_goes_back_and_a_probe_tells_whether_rightly() {
    let mut story = Story::new(4, false, 2);
    story.spread();
    let _ = story.taken(DRY, 2, false);
    story.policy.looks.probe_at = None;
    let (_, orders) = story.tell(|policy, now, out| policy.blocked(now, 3, out));
    assert_eq!((orders.wake.len(), story.funds), (0, 1));
    let (first, _) = story.policy.knobs.look;
    assert_eq!(story.policy.looks.probe_at, Some(story.now + first));

    // Where that was the last fund nobody made way: what comes next is activity.
    let mut story = Story::new(1, false, 1);
    story.spread();
    story.tell(|policy, now, out| policy.blocked(now, 0, out));
    story.now += MILLISECOND;
    let _ = story.tell(|policy, now, out| policy.unblocked(now, 0, out));
    assert_eq!((story.policy.admitted(), story.policy.slack_since), (1, story.now));
}

#[test]
fn an_idle_worker_is_asked_for_its_fund_for_one_that_was_lent_and_wakes() {
    let mut story = Story::with(3, 2, Knobs { lease: None, ..Knobs::default() });
    story.spread();
    until_lent(&mut story);
    story.resumed();
    while story.policy.probes > 0 {
        let idle = story.policy.sample().next().expect("two are admitted");
        let _ = story.taken(SCARCE, idle, false);
    }
    assert_eq!(story.policy.phase, Phase::Slack);
    let look = |policy: &mut Policy, now, out: &mut Orders| {
        policy.inspect(now, |_| Stillness::Runs, out);
    };
    assert_eq!(story.tell(look).1.posts, 1);
    assert!(story.policy.tally().overcommits > 0);
}
