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
