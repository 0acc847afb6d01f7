//! Stories of wide pools: no look of the governor's is at more workers than it has time for.

use super::*;

/// A pool of so many workers, all of which are busy, with others parked.
fn busy(workers: usize, funds: usize) -> Story {
    let mut story = Story::with(workers, funds, Knobs { lease: None, ..Knobs::default() });
    story.spread();
    while !matches!(story.policy.phase, Phase::Saturated { .. }) {
        story.beat(DRY, Ran::No);
    }
    assert_eq!(story.policy.admitted(), funds);
    story
}

#[test]
fn looks_for_blocked_workers_take_turns_through_a_wide_pool() {
    let mut story = busy(300, 200);
    let mut seen = std::collections::BTreeSet::new();
    for look in 1..=4 {
        let mut looked_at = Vec::new();
        story.now = story.policy.deadline().expect("somebody may block").max(story.now);
        let inspect = |policy: &mut Policy, now, out: &mut Orders| {
            let still = |worker| {
                looked_at.push(worker);
                Stillness::Runs
            };
            policy.inspect(now, still, out);
        };
        story.tell(inspect);
        assert!(looked_at.len() <= absence::SPAN, "{} in look {look}", looked_at.len());
        seen.extend(looked_at);
    }
    assert_eq!(seen.len(), 200, "every worker within four looks");
}

/// Once the looks at those who were lent went on from where the looks at the others had ended, and so
/// from the same place each time.
#[test]
fn of_many_that_are_lent_each_is_seen_to_wake() {
    let mut story = busy(300, 200);
    let look = |story: &mut Story, still: Stillness| {
        story.now += Knobs::default().detect.expect("the default");
        story.tell(|policy, now, out| policy.inspect(now, |_| still, out));
    };
    look(&mut story, Stillness::Blocked);
    for _ in 0..100 {
        if !matches!(story.policy.phase, Phase::Saturated { .. }) {
            (0..absence::SPAN).for_each(|_| story.resumed());
            story.beat(DRY, Ran::No);
        } else if story.policy.roster.len() > 0 {
            look(&mut story, Stillness::Blocked);
        }
    }
    let lent = story.policy.tally().lendings;
    assert!(lent > absence::SPAN as u64, "{lent} are lent");
    for _ in 0..8 {
        look(&mut story, Stillness::Runs);
    }
    assert_eq!(story.policy.tally().overcommits, lent, "every one of them was seen");
}

#[test]
fn a_survey_of_a_wide_pool_is_of_some() {
    assert_eq!(busy(300, 200).policy.sample().count(), absence::SPAN);
    assert_eq!(busy(30, 20).policy.sample().count(), 20);
}

/// A pool of three on one fund, just when worker 0 has a turn in a broadcast, and worker 2 is parked; nested
/// says whether it waits for jobs.
fn in_turn(nested: bool) -> Story {
    let mut story = Story::new(3, false, 1);
    story.enter();
    story.resumed();
    story.tell(Policy::broadcast);
    let (_, orders) = story.taken(DRY, 2, nested);
    assert_eq!(woken(&orders), [(0, Wake::Turn)]);
    story
}

/// Whether worker 1, which is parked, gets a turn before long if idle workers take all probes.
fn others_get_turns(story: &mut Story) -> bool {
    let mut funded = 0;
    (0..100).any(|_| {
        let orders = story.beat(DRY, Ran::No);
        let posted = orders.posts > 0 || story.policy.probes > 0;
        let orders = if posted { story.taken(DRY, funded, true).1 } else { orders };
        if let Some(&(worker, why)) = orders.wake.first() {
            if why == Wake::Turn {
                return worker == 1;
            }
            funded = worker;
            story.resumed();
        }
        false
    })
}

#[test]
fn whoever_waits_in_its_turn_keeps_none_from_the_others() {
    let mut waits = in_turn(true);
    assert!(others_get_turns(&mut waits));
    let mut blocks = in_turn(true);
    let (_, orders) = blocks.tell(|policy, now, out| policy.blocked(now, 0, out));
    assert_eq!(woken(&orders), [(2, Wake::Work)], "it waits for jobs");
    assert_eq!(blocks.policy.sweep.in_turn, None);
}

#[test]
fn a_turn_that_goes_on_and_on_ends_for_the_pool() {
    let mut story = in_turn(false);
    let (begin, (_, longest)) = (story.now, Knobs::default().look);
    // An idle worker takes the probe that asks whether more could be of use.
    story.policy.phase = Phase::Slack;
    story.policy.probes = 0;
    story.policy.looks.probe_at = None;
    assert_eq!(story.policy.deadline(), Some(begin + longest));
    story.after(longest, DRY);
    assert_eq!(story.policy.sweep.in_turn, None);
    assert!(story.policy.deadline().is_some(), "somebody keeps watch");
    let turned = |policy: &mut Policy, now, out: &mut _| policy.turned(now, DRY, 0, true, out);
    assert_eq!(story.tell(turned).0, Verdict::Stay, "it goes on as any other");
}

/// Once it waited for as long as nothing else happened: a token that came 3 ms later had to wait as long again.
#[test]
fn a_call_that_begins_beside_a_sweep_is_asked_soon_after_it_whether_it_needs_more() {
    let asked_within = |called: bool| {
        let mut story = in_turn(false);
        story.policy.phase = Phase::Slack;
        story.policy.probes = 0;
        if called {
            story.enter();
        }
        while let Some(worker) = story.policy.sweep.in_turn {
            let _ = story.turned(worker);
        }
        let begin = story.now;
        while story.beat(DRY, Ran::No).posts == 0 {}
        story.now - begin
    };
    let (first, _) = Knobs::default().look;
    assert!(asked_within(true) <= first);
    assert!(asked_within(false) > first, "nothing has changed");
}

/// The only admitted worker is idle.
fn go_on(story: &mut Story) {
    let idle = story.policy.sample().next().expect("one is admitted");
    story.rests(PLENTY, idle, false);
}

#[test]
fn a_sweep_of_a_pool_at_rest_is_broken_off_by_a_call_and_made_up_for_after_it() {
    let mut story = Story::new(4, false, 1);
    story.spread();
    story.tell(Policy::leave);
    while story.policy.sweep.in_turn.is_none() {
        go_on(&mut story);
    }
    let first = story.policy.sweep.in_turn.expect("a sweep has begun");
    story.enter();
    let (_, orders) = story.turned(first);
    assert!(orders.wake.iter().all(|&(_, why)| why == Wake::Work), "{:?}", orders.wake);
    assert_eq!(story.policy.sweep.in_turn, None);
    // The call is over at once.
    story.tell(Policy::leave);
    let mut turns = Vec::new();
    while story.policy.admitted() > 0 {
        if let Some(worker) = story.policy.sweep.in_turn {
            turns.push(worker);
            let _ = story.turned(worker);
        } else {
            go_on(&mut story);
        }
    }
    turns.sort_unstable();
    turns.dedup();
    assert!(turns.len() >= 3, "only {turns:?} had turns");
}

/// Once one was added each time, found nothing, and called for one more sweep: on a crowded machine a pool took a
/// quarter of a second to come to rest.
#[test]
fn nobody_is_added_beside_a_turn_that_waits_for_a_core_after_all_calls() {
    let mut story = Story::after_a_call(4, 2);
    while story.policy.sweep.in_turn.is_none() {
        go_on(&mut story);
    }
    let (begin, (_, longest)) = (story.now, story.policy.knobs.look);
    while story.beat(PLENTY, Ran::No).wake.is_empty() {
        assert!(story.now <= begin + longest, "it goes on, and must have found a job");
    }
    assert_eq!(story.now, begin + longest);
}

/// A broadcast may come between two turns of one sweep, and nobody tells of it. Once those that had had theirs waited
/// for the next sweep, up to a quarter of a second for 64 workers, and the others for them.
#[test]
fn one_that_waits_in_its_turn_makes_those_before_it_due_again() {
    let mut story = Story::new(4, false, 1);
    story.spread();
    story.tell(Policy::broadcast);
    let first = story.taken(DRY, 3, false).1.wake;
    let [(first, Wake::Turn)] = first[..] else { panic!("{first:?}") };
    let turned = |policy: &mut Policy, now, out: &mut _| policy.turned(now, DRY, first, false, out);
    let second = story.tell(turned).1.wake;
    let [(second, Wake::Turn)] = second[..] else { panic!("{second:?}") };
    // It finds a job there, and waits for others within that.
    story.tell(|policy, now, out| policy.post(now, 1, out));
    let third = story.taken(DRY, second, true).1.wake;
    let [(third, Wake::Turn)] = third[..] else { panic!("{third:?}") };
    let mut had = vec![third];
    while let Some(worker) = story.policy.sweep.in_turn {
        let turned =
            |policy: &mut Policy, now, out: &mut _| policy.turned(now, DRY, worker, false, out);
        had.extend(story.tell(turned).1.wake.iter().map(|&(worker, _)| worker));
    }
    assert_eq!(had.iter().filter(|&&worker| worker == first).count(), 1, "{had:?}");
}

/// Once a pool within a call woke for each sweep that was planned, long before it could come.
#[test]
fn after_a_sweep_in_vain_nothing_is_due_before_the_next_one_may_come() {
    let long = 1_000 * MILLISECOND;
    let (look, patience) = ((long, long), (long, long));
    let knobs =
        Knobs { detect: None, lease: None, look, patience, hold: 4 * long, ..Knobs::default() };
    let mut story = Story::with(8, 2, knobs);
    story.spread();
    story.beat(DRY, Ran::No);
    let _ = story.taken(DRY, 7, false);
    assert_eq!((story.policy.phase, story.policy.admitted()), (Phase::Slack, 2));
    let sweep = |story: &mut Story| {
        let before = story.policy.sweep.at;
        let mut ticks = 0;
        while story.policy.sweep.at == before {
            ticks += 1;
            if story.beat(DRY, Ran::No).posts > 0 {
                let idle = story.policy.sample().next().expect("one is admitted");
                let _ = story.taken(DRY, idle, false);
            }
        }
        while let Some(worker) = story.policy.sweep.in_turn {
            let turned =
                |policy: &mut Policy, now, out: &mut _| policy.turned(now, DRY, worker, false, out);
            let _ = story.tell(turned);
        }
        ticks
    };
    sweep(&mut story);
    let first = story.policy.sweep.at;
    let ticks = sweep(&mut story);
    assert!(story.policy.sweep.at >= first + 2 * knobs.sweep * 6, "not one after the other");
    assert!(ticks <= 3, "{ticks}");
}

#[test]
fn a_turn_that_found_a_job_is_activity_and_one_that_found_none_ends_a_sweep_that_was_announced() {
    for ran in [false, true] {
        let mut story = in_turn(false);
        story.now += MILLISECOND / 2;
        for worker in [0, 1] {
            let turned =
                |policy: &mut Policy, now, out: &mut _| policy.turned(now, DRY, worker, ran, out);
            let _ = story.tell(turned);
        }
        assert_eq!(story.policy.sweep.in_turn, None);
        assert_eq!(story.policy.slack_since == story.now, ran);
        assert!(!story.policy.sweep.announced);
    }
}

#[test]
fn a_sweep_ends_with_the_fund_where_another_pool_starves() {
    let mut story = in_turn(false);
    let turned =
        |policy: &mut Policy, now, out: &mut _| policy.turned(now, STARVING, 0, false, out);
    assert_eq!(woken(&story.tell(turned).1), [(1, Wake::Turn)], "the other has its turn");
    let turned =
        |policy: &mut Policy, now, out: &mut _| policy.turned(now, STARVING, 1, false, out);
    assert_eq!(story.tell(turned).0, Verdict::Park);
    assert_eq!((story.policy.admitted(), story.funds), (0, 1));
}

/// They have just come up, and whether they run tells nothing.
#[test]
fn nobody_looks_at_workers_that_have_yet_to_come_up_or_have_a_turn() {
    let mut story = Story::new(4, true, 2);
    story.resume_one();
    assert_eq!((story.policy.admitted(), story.policy.phase), (2, Phase::Slack));
    assert_eq!(story.policy.pulse_due(), None);
    story.now += MILLISECOND;
    story.resumed();
    assert!(story.policy.pulse_due() > Some(story.now), "nor before it is asleep again");
    assert_eq!(story.policy.rested_at(), story.now);
    story.policy.sweep.in_turn = Some(0);
    assert_eq!(story.policy.pulse_due(), None);

    let mut story = Story::new(4, true, 1);
    assert!(story.policy.beat_due().is_some());
    story.policy.waking = 1;
    assert_eq!(story.policy.beat_due(), None);
}

/// A job may have begun to wait just before.
#[test]
fn the_last_that_is_left_when_tokens_have_gone_back_is_asked_once_more_at_a_beat() {
    let mut story = Story::new(2, true, 2);
    story.resume_one();
    story.resumed();
    assert_eq!(story.policy.admitted(), 2);
    story.policy.release.everything(1, 2);
    story.tell(|policy, now, out| policy.post(now, 1, out));
    assert_eq!(story.taken(SCARCE, 1, false).0, Verdict::Park);
    assert!(story.policy.doubtful);
    story.now = story.policy.heart.at;
    assert!(story.policy.watches(story.now));
    let ask = |policy: &mut Policy, now, out: &mut _| policy.tick(now, DRY, Ran::No, out);
    assert_eq!(story.tell(ask).1.posts, 1);
    let _ = story.taken(PLENTY, 0, false);
    assert!(!story.policy.doubtful, "it has answered");
}

/// Its wait for the sweep was for whatever came back with the fund, and there is no more of that.
#[test]
fn a_fund_that_has_come_back_puts_off_the_first_sweep_alone() {
    let mut story = Story::new(3, true, 1);
    let sweep = story.policy.knobs.sweep;
    story.policy.came_back = true;
    story.policy.epoch += 1;
    story.tell(|policy, now, out| policy.post(now, 1, out));
    story.now = story.policy.sweep_at();
    assert_eq!(story.now, story.policy.sweep.at + 50 * sweep);
    let (_, orders) = story.taken(PLENTY, story.policy.lookout().expect("one"), false);
    assert!(matches!(orders.wake[..], [(_, Wake::Turn)]));
    while let Some(worker) = story.policy.sweep.in_turn {
        let _ = story.turned(worker);
    }
    assert!(story.policy.sweep_at() < story.now + sweep);
    // A dropped pool does not wait for it either.
    story.policy.came_back = true;
    story.tell(Policy::drain);
    assert!(story.policy.sweep_at() < story.now + sweep);
}

#[test]
fn one_that_is_seen_to_block_in_its_turn_keeps_none_from_the_others() {
    let mut story = in_turn(false);
    story.policy.knobs.detect = Knobs::default().detect;
    story.policy.phase = Phase::Saturated { since: story.now };
    let look = |policy: &mut Policy, now, out: &mut Orders| {
        policy.inspect(now, |_| Stillness::Blocked, out);
    };
    let (_, orders) = story.tell(look);
    assert_eq!((orders.wake.len(), story.policy.tally().lendings), (1, 1));
    assert_eq!(story.policy.sweep.in_turn, None);
}

#[test]
fn a_call_breaks_off_the_last_sweep_although_a_probe_lies_there() {
    let mut story = Story::after_a_call(8, 1);
    while story.policy.sweep.in_turn.is_none() {
        let worker = story.policy.lookout().expect("one keeps watch");
        story.rests(PLENTY, worker, false);
    }
    // Whoever has the turn waits for a core.
    while story.policy.probes == 0 {
        story.beat(PLENTY, Ran::No);
    }
    story.enter();
    let worker = story.policy.sweep.in_turn.expect("it has not had it yet");
    let _ = story.turned(worker);
    assert_eq!(story.policy.sweep.in_turn, None, "the call would wait for all the others");
}
