//! Offers of busy pools beside other duties of the workers that are called.

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
