//! Stories of serial phases in announced calls: the workers' clocks tell whether to ask by a probe.

use super::*;
use crate::governor::policy::judge::probe_cost;

/// A slack pool of two idle tokens within a call that looks whether it has a use for more after this pause.
fn slack_pair(pause: Nanos) -> Story {
    // Nothing else is to ask anybody meanwhile.
    let long = 1_000 * MILLISECOND;
    let (sweep, patience) = (long, (long, long));
    let knobs = Knobs { detect: None, lease: None, sweep, patience, ..Knobs::default() };
    let mut story = Story::with(4, 2, knobs);
    story.spread();
    story.beat(DRY, Ran::No);
    story.policy.looks.pause = pause;
    let _ = story.taken(DRY, 1, false);
    // What it had asked for comes, and is of no use any more.
    story.tell(|policy, now, out| policy.granted(now, 1, out));
    assert_eq!((story.policy.phase, story.policy.admitted()), (Phase::Slack, 2));
    story
}

/// How long after the last probe the next one is posted, if so many workers run between any two glances; and
/// how often it is looked at until then.
fn until_probed(mut story: Story, market: Market, active: Option<usize>) -> (Nanos, usize) {
    let begin = story.policy.last_post;
    for looks in 0..100 {
        story.now = story.policy.deadline().expect("there is somebody to add").max(story.now);
        if story.policy.feels(story.now) {
            let now = story.now;
            let all = |active| (0..active).fold(Felt::default(), |felt, _| felt.and(50_000));
            story.policy.felt(now, active.map(all));
        }
        if story.after(0, market).posts > 0 {
            return (story.now - begin, looks);
        }
    }
    panic!("never posts: {:?}", story.policy);
}

#[test]
fn a_pool_that_wants_nothing_of_the_ledger_any_more_looks_for_itself() {
    let knobs = Knobs { detect: None, lease: None, sweep: 1_000 * MILLISECOND, ..Knobs::default() };
    let mut story = Story::with(8, 4, knobs);
    story.spread();
    story.beat(DRY, Ran::No);
    // One token comes in a serial phase, before the others.
    story.tell(|policy, now, out| policy.granted(now, 1, out));
    story.resumed();
    let _ = story.taken(DRY, 1, false);
    assert_eq!((story.policy.phase, story.policy.growth.asked()), (Phase::Slack, 3));
    let begin = story.policy.last_post;
    while story.policy.last_post == begin {
        story.now = story.policy.deadline().expect("it has a token to give up").max(story.now);
        if story.policy.feels(story.now) {
            let now = story.now;
            story.policy.felt(now, Some((0..2).fold(Felt::default(), |felt, _| felt.and(50_000))));
        }
        story.after(0, PLENTY);
    }
    assert_eq!(story.policy.release.pending(), 0, "idle tokens are not even asked for yet");
    assert!(story.now < begin + knobs.hold / 2, "two run: {}", story.now - begin);
}

#[test]
fn nobody_is_woken_in_a_serial_phase_for_what_the_clocks_tell() {
    let (first, longest) = Knobs::default().look;
    for active in [0, 1] {
        let (until, looks) = until_probed(slack_pair(first), PLENTY, Some(active));
        assert_eq!(until, longest, "jobs that use no time do not wait for ever");
        assert!(looks >= 6, "{looks}: as soon as it does it is to be known");
        let (until, looks) = until_probed(slack_pair(first), DRY, Some(active));
        assert_eq!(until, longest);
        assert!(looks <= 5, "{looks}: where there are no tokens it can wait");
    }
    let (blind, _) = until_probed(slack_pair(first), PLENTY, None);
    assert!((first..2 * first).contains(&blind), "{blind}: no clock tells");
}

#[test]
fn two_that_run_may_have_begun_a_wide_phase() {
    let (first, longest) = Knobs::default().look;
    let (two, _) = until_probed(slack_pair(first), PLENTY, Some(2));
    assert!((first..2 * first).contains(&two), "{two}");
    let mut adopted = slack_pair(first);
    adopted.policy.adopted = true;
    assert_eq!(until_probed(adopted, PLENTY, Some(1)).0, two, "whoever built the pool is unseen");
    let (two, looks) = until_probed(slack_pair(longest), PLENTY, Some(2));
    assert!(two < 3 * first && looks == 1, "{two}: the first look may have seen our own doing");
    let (dry, _) = until_probed(slack_pair(longest), DRY, Some(2));
    assert!(dry >= longest, "{dry}: there is nothing to be had");
    let (_, looks) = until_probed(slack_pair(longest), PLENTY, Some(1));
    assert!(looks <= 2, "{looks}: it saw that there is no such phase");
}

#[test]
fn a_pool_that_has_become_slack_within_a_call_looks_for_itself() {
    let mut story = Story::new(4, false, 2);
    story.spread();
    story.beat(PLENTY, Ran::No);
    story.policy.growth.withdraw();
    let (first, _) = story.policy.knobs.look;
    let _ = story.taken(PLENTY, 2, false);
    assert_eq!(
        (story.policy.phase, story.policy.looks.at),
        (Phase::Slack, Some(story.now + first))
    );
}

/// A pool with two tokens, one of whose workers has just been found idle, in a wait or not.
fn with_an_idler(workers: usize, nested: bool) -> Story {
    let mut story = Story::new(workers, false, 2);
    story.spread();
    story.beat(PLENTY, Ran::No);
    story.policy.growth.withdraw();
    let _ = story.taken(SCARCE, 1, nested);
    assert_eq!((story.policy.phase, story.policy.admitted()), (Phase::Slack, 2));
    story
}

#[test]
fn a_wide_phase_between_two_probes_shows_in_what_the_idle_worker_has_run() {
    // When tokens are first about to go back, and when nobody is seen to have had a use for them since.
    let kept = |ran| {
        let mut story = with_an_idler(2, false);
        let (begin, mut asked) = (story.now, Vec::new());
        while asked.len() < 10 {
            story.now = story.policy.deadline().expect("it has a token to spare").max(story.now);
            if let Some(worker) = story.policy.attests(story.now) {
                assert_eq!(worker, 1, "the one that was idle");
                story.policy.attested(story.now, if asked.is_empty() { ran } else { 0 });
                asked.push(story.now - begin);
            }
            if story.after(0, SCARCE).survey {
                return (asked, story.now - begin);
            }
        }
        panic!("never gives: {:?}", story.policy);
    };
    let search = probe_cost(2);
    let (asked, idle) = kept(search);
    assert_eq!(asked, [idle], "it has only looked for work");
    assert_eq!(kept(search + 1), (vec![idle, 2 * idle], 2 * idle), "it may just have ended work");
}

#[test]
fn nobody_attests_to_a_wide_phase_who_goes_on_when_its_wait_is_over_or_where_the_clocks_are_looked_at()
 {
    let attests = |workers, nested| {
        let story = with_an_idler(workers, nested);
        story.policy.attests(story.now + Knobs::default().patience.1)
    };
    assert_eq!(attests(2, false), Some(1));
    assert_eq!([attests(2, true), attests(3, false)], [None; 2]);
}
