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

#[test]
fn a_survey_of_a_wide_pool_is_of_some() {
    assert_eq!(busy(300, 200).policy.sample().count(), absence::SPAN);
    assert_eq!(busy(30, 20).policy.sample().count(), 20);
}
