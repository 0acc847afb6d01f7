//! Stories of pools of which nobody runs, since all wait for others or in the program.

use super::*;

/// Others could run on the last fund: another pool of the process, or as it is a token, another process.
const ELSEWHERE: [Market; 2] = [SCARCE, Market { token: true, ..DRY }];

/// A pool of two on one fund, within a call. Worker 1 blocks, and 0 keeps watch.
fn blocked() -> Story {
    let mut story = Story::new(2, false, 1);
    story.spread();
    story.tell(|policy, now, out| policy.blocked(now, 1, out));
    story.resumed();
    story
}

/// Lets worker 0 take all probes until it parks, and says how long that took.
fn until_it_stands_back(story: &mut Story, market: Market) -> Nanos {
    let begin = story.now;
    while story.policy.admitted() > 0 {
        story.rests(market, 0, false);
        assert!(story.now < begin + 1_000 * MILLISECOND, "kept: {:?}", story.policy);
    }
    story.now - begin
}

/// Once four pools that waited kept three tokens, of which nobody else had any use.
#[test]
fn a_pool_that_only_waits_gives_up_its_last_fund_and_has_it_back_to_look() {
    for market in ELSEWHERE {
        let mut story = blocked();
        let (hold, (_, longest)) = (story.policy.knobs.hold, story.policy.knobs.beat);
        let kept = until_it_stands_back(&mut story, market);
        assert!((hold..hold + 2 * longest).contains(&kept), "{kept}");
        assert_eq!(story.funds, 1);
        assert_eq!(story.policy.demand(), Demand::default(), "or it would come back at once");
        // A job may have come that nobody has announced.
        for _ in 0..3 {
            let left = story.now;
            while !story.policy.demand().starving {
                story.beat(market, Ran::No);
            }
            assert!(story.now <= left + longest);
            story.funds = 0;
            let (_, orders) = story.tell(|policy, now, out| policy.granted(now, 1, out));
            assert_eq!(woken(&orders), [(0, Wake::Work)]);
            story.resumed();
            assert!(
                until_it_stands_back(&mut story, market) < hold,
                "that it looks is no activity"
            );
        }
        let (verdict, orders) = story.tell(|policy, now, out| policy.unblocked(now, 1, out));
        assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(1, Wake::Work)]));
    }
}

#[test]
fn a_call_or_a_worker_that_is_back_has_the_fund_at_once_or_presses_for_it() {
    for calls in [false, true] {
        let mut story = blocked();
        until_it_stands_back(&mut story, SCARCE);
        story.funds = 0;
        if calls {
            story.enter();
        } else {
            assert_eq!(
                story.tell(|policy, now, out| policy.unblocked(now, 1, out)).0,
                Verdict::Park
            );
        }
        assert_eq!(story.policy.demand(), Demand { funds: 1, starving: true, tokens_only: false });
    }
}

#[test]
fn whoever_waits_for_jobs_looks_whether_they_are_done_before_long() {
    let mut story = Story::new(1, false, 1);
    story.spread();
    let longest = story.policy.knobs.recheck.1;
    while story.policy.admitted() > 0 {
        story.rests(SCARCE, 0, true);
        assert!(story.now < 1_000 * MILLISECOND, "kept: {:?}", story.policy);
    }
    let left = story.now;
    story.beat(SCARCE, Ran::No);
    assert!(story.policy.demand().starving && story.now <= left + longest);
}

#[test]
fn a_fund_that_nobody_else_could_run_on_is_kept_and_so_is_that_of_a_call_in_which_nobody_waits() {
    let computes = || {
        let mut story = Story::new(2, false, 1);
        story.spread();
        story
    };
    let stories = [
        (blocked(), PLENTY),
        (blocked(), DRY),
        (computes(), ELSEWHERE[0]),
        (computes(), ELSEWHERE[1]),
    ];
    for (mut story, market) in stories {
        while story.now < 1_000 * MILLISECOND {
            let idle = story.policy.lookout().expect("one keeps watch");
            story.rests(market, idle, false);
            if let Some(worker) = story.policy.sweep.in_turn {
                let _ = story.turned(worker);
            }
        }
        assert_eq!(story.policy.admitted(), 1);
    }
}

/// Once it was given up and taken again each time that a nested worker was due to look, 240 times a second.
#[test]
fn a_token_that_nobody_else_takes_is_given_up_ever_more_rarely() {
    let market = |lying| Market { lying, token: true, ..DRY };
    let mut story = Story::new(1, false, 1);
    story.spread();
    let (begin, mut given) = (story.now, 0);
    while story.now < begin + 10_000 * MILLISECOND {
        if story.policy.admitted() > 0 {
            story.rests(market(0), 0, true);
            given += usize::from(story.policy.admitted() == 0);
            continue;
        }
        story.beat(market(1), Ran::No);
        if story.policy.demand().starving {
            story.funds = 0;
            story.tell(|policy, now, out| policy.granted(now, 1, out));
            story.resumed();
        }
    }
    let (hold, rarest) = (story.policy.knobs.hold, story.policy.knobs.rarest(false));
    let doubled = (rarest / hold).ilog2() as usize + 2;
    assert!(
        (doubled..=doubled + (10_000 * MILLISECOND / rarest) as usize).contains(&given),
        "{given}"
    );
}

/// Once the pool asked its lookout at each beat for a fund that nobody wanted, for it did not look whether tokens lie
/// there before it asked.
#[test]
fn a_pool_whose_token_nobody_wants_does_not_ask_for_it() {
    let mut story = blocked();
    story.tell(Policy::leave);
    let mut probes = 0;
    while story.now < 10_000 * MILLISECOND {
        // As the purse tells of it.
        let lying = if story.policy.trades() { 9 } else { 0 };
        let market = Market { lying, token: true, ..DRY };
        if story.policy.probes > 0 {
            story.rests(Market { lying: 9, ..market }, 0, false);
        } else {
            probes += story.beat(market, Ran::No).posts;
        }
    }
    assert_eq!(probes, 0);
}

/// Once another pool grew by that, and the worker computed beyond the budget for as long as it liked.
#[test]
fn what_funds_a_worker_that_blocks_without_a_word_is_kept_for_it() {
    for market in ELSEWHERE {
        let mut story = Story::with(2, 1, Knobs::default());
        story.spread();
        blocking::until_lent(&mut story);
        story.resumed();
        let begin = story.now;
        while story.now < begin + 1_000 * MILLISECOND {
            if story.policy.inspects(story.now) {
                story.tell(|policy, now, out| policy.inspect(now, |_| Stillness::Sleeps, out));
            }
            let idle = story.policy.lookout().expect("one keeps watch");
            story.rests(market, idle, false);
        }
        assert_eq!((story.policy.admitted(), story.policy.tally().lendings), (1, 1));
    }
}

/// Once it was looked at after as long as it had been since its last probe, and its token kept from others meanwhile.
#[test]
fn whoever_waited_for_jobs_is_asked_soon_after_the_call_is_over() {
    let mut story = Story::new(1, false, 1);
    story.spread();
    let _ = story.taken(DRY, 0, true);
    assert!(story.policy.waiting, "for jobs, it seems");
    story.now += 15 * MILLISECOND;
    story.tell(Policy::leave);
    let left = story.now;
    story.beat(DRY, Ran::Unsettled);
    assert_eq!(story.beat(DRY, Ran::No).posts, 1, "it sleeps by now");
    assert!(story.now <= left + 2 * story.policy.knobs.beat.0, "after {} ns", story.now - left);
    while story.funds == 0 {
        story.rests(DRY, 0, false);
    }
    assert!(story.now <= left + 3 * MILLISECOND, "after {} ns", story.now - left);
}
