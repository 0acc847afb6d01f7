//! What busy pools and slack ones give up to others, and who is asked for it.

use super::*;
use crate::governor::policy::Pace;

#[test]
fn a_summons_that_looks_after_a_nested_worker_puts_no_offer_off() {
    let knobs = Knobs { detect: None, ..Knobs::default() };
    let mut story = Story::with(4, 3, knobs);
    story.spread();
    let nested = story.policy.roster.take_oldest().expect("there are but three funds");
    story.policy.roster.park_nested(nested, story.now);
    let offers = |story: &mut Story| while !story.beat(DRY, Ran::No).summon {};
    let call = |story: &mut Story, worker| {
        story.tell(|policy, now, out| policy.summoned(now, worker, false, out))
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

/// A pool of three funds and a parked worker that has just summoned the others to offer a token.
fn summoning() -> Story {
    let mut story = Story::with(4, 3, Knobs { detect: None, ..Knobs::default() });
    story.spread();
    while !story.beat(DRY, Ran::No).summon {}
    assert!(story.policy.summons());
    story
}

fn yields(story: &mut Story, worker: usize) -> (Verdict, Orders) {
    story.tell(|policy, now, out| policy.yields(now, worker, out))
}

fn turned(story: &mut Story, worker: usize) -> (Verdict, Orders) {
    story.tell(|policy, now, out| policy.turned(now, DRY, worker, false, out))
}

#[test]
fn whoever_yields_is_funded_again_before_anybody_else_but_not_by_what_it_left() {
    let mut story = summoning();
    let (verdict, orders) = yields(&mut story, 3);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(0, Wake::Turn)]));
    assert!(!story.policy.summons());
    assert_eq!(yields(&mut story, 2).0, Verdict::Stay, "one is enough");
    assert_eq!(turned(&mut story, 0).0, Verdict::Park, "its turn was for what may lie there");
    assert_eq!((story.policy.admitted(), story.funds), (2, 1), "it lies there");
    assert_eq!(story.policy.demand(), Demand::default(), "and we do not bid for it");
    let orders = story.beat(PLENTY, Ran::No);
    assert_eq!((woken(&orders), story.funds), (vec![(3, Wake::Work)], 0), "nobody took it");
}

#[test]
fn whoever_yields_what_others_take_waits_for_the_next_fund() {
    let mut story = summoning();
    let _ = yields(&mut story, 3);
    let _ = turned(&mut story, 0);
    story.funds -= 1;
    story.beat(DRY, Ran::No);
    assert_eq!(story.policy.admitted(), 2);
    assert_eq!(story.policy.demand().funds, 2, "one for it, and one for the other worker");
    let _ = story.tell(|policy, now, out| policy.post(now, 1, out));
    let (verdict, orders) = story.taken(DRY, 2, false);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(3, Wake::Work)]), "of an idle one");
}

/// Once they handed what was left of the funds round among them, and nobody else got a second one.
#[test]
fn one_after_another_yields_until_a_single_fund_is_left() {
    let mut story = summoning();
    for (worker, left) in [(3, 2), (2, 1)] {
        assert_eq!(yields(&mut story, worker).0, Verdict::Park);
        while let Some(parked) = story.policy.sweep.in_turn {
            let _ = turned(&mut story, parked);
        }
        assert_eq!((story.policy.admitted(), story.funds), (left, 1));
        story.funds = 0;
        while left > 1 && !story.policy.summons() {
            story.beat(DRY, Ran::No);
        }
    }
}

#[test]
fn nobody_yields_what_the_pool_cannot_spare() {
    let mut story = summoning();
    assert_eq!(yields(&mut story, 0).0, Verdict::Stay, "it has nothing");
    let mut story = Story::with(2, 1, Knobs { detect: None, ..Knobs::default() });
    story.spread();
    assert_eq!(yields(&mut story, 1).0, Verdict::Stay, "nobody is summoned");
}

#[test]
fn summonses_that_none_but_yielding_workers_come_to_pile_up_no_further() {
    let mut story = summoning();
    let mut posted = 1;
    for _ in 0..100 {
        assert_eq!(yields(&mut story, 3).0, Verdict::Park);
        while let Some(worker) = story.policy.sweep.in_turn {
            let _ = turned(&mut story, worker);
        }
        while !story.policy.summons() {
            let orders = story.beat(DRY, Ran::No);
            posted += usize::from(orders.summon);
            orders.wake.iter().for_each(|_| story.resumed());
        }
    }
    assert!(posted <= 9, "{posted} copies lie in each queue");
}

/// A pool within a call whose worker 3 is asked for its token, with `taken` after others took one.
fn asked(taken: bool) -> Story {
    let mut story = Story::asked_for_a_token();
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
    let ((), orders) = story.tell(|_, _, out| out.take.funds += 1);
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

/// Nobody else looks after them where nobody is ever idle: neither after their copies of a broadcast nor
/// after their latches.
#[test]
fn a_busy_pool_that_must_not_give_way_looks_after_those_that_are_parked_and_keeps_its_tokens() {
    let usual = Knobs::default();
    let lease = usual.lease.map(|pace| Pace { gives: false, ..pace });
    let mut story = Story::with(6, 3, Knobs { detect: None, lease, ..usual });
    story.spread();
    let nested = story.policy.roster.take_oldest().expect("there are but three funds");
    story.policy.roster.park_nested(nested, story.now);
    let call = |story: &mut Story, worker| {
        let (_, longest) = lease.expect("the default").pause;
        let before = story.now;
        while !story.beat(DRY, Ran::No).summon {
            assert!(story.now <= before + 2 * longest, "nobody is summoned");
        }
        assert!(!story.policy.summons(), "not in the midst of a job");
        assert_eq!(yields(story, worker).0, Verdict::Stay);
        story.tell(|policy, now, out| policy.summoned(now, worker, false, out))
    };
    let (verdict, orders) = call(&mut story, 5);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(nested, Wake::Work)]));
    story.resumed();
    assert_eq!(call(&mut story, 4).0, Verdict::Park);
    let mut turns = Vec::new();
    while let Some(worker) = story.policy.sweep.in_turn {
        turns.push(worker);
        let _ = turned(&mut story, worker);
    }
    assert_eq!(turns, [1, 2, 5]);
    assert_eq!((story.policy.admitted(), story.funds, story.policy.tally().offers), (3, 0, 0));
    let next = story.policy.sample().next().expect("three are funded");
    assert_eq!(call(&mut story, next).0, Verdict::Park, "and once more");
}

/// Once they were summoned no more, and the pool kept all its tokens.
#[test]
fn a_summons_to_which_all_came_in_vain_is_over() {
    let lease = Knobs::default().lease;
    let mut story = Story::with(3, 3, Knobs { detect: None, lease, ..Knobs::default() });
    story.spread();
    let all = [0, 1, 2];
    let _ = all.map(|worker| story.tell(|policy, now, out| policy.blocked(now, worker, out)));
    let _ = all.map(|worker| story.tell(|policy, now, out| policy.unblocked(now, worker, out)));
    assert_eq!(story.policy.admitted(), 3, "all are back");
    while !story.beat(DRY, Ran::No).summon {}
    assert!(story.policy.summons());
    // They come to it within closures that block, where they wait for jobs.
    let _ = all.map(|worker| story.tell(|policy, now, out| policy.blocked(now, worker, out)));
    let come = |story: &mut Story, worker| {
        let come = story.tell(|policy, now, out| policy.summoned(now, worker, true, out));
        assert_eq!(come.0, Verdict::Stay);
        story.policy.summons()
    };
    let in_vain = (0..100).position(|copy| !come(&mut story, all[copy % 3]));
    assert!(in_vain.is_some(), "they are summoned still");
}

fn summoned(story: &mut Story, worker: usize, nested: bool) -> (Verdict, Orders) {
    story.tell(|policy, now, out| policy.summoned(now, worker, nested, out))
}

/// Lets so many offers pass, each of which is taken or lies there, and says how long the pool waits for the next one.
fn pause_after(story: &mut Story, offers: usize, taken: bool) -> Nanos {
    for _ in 0..offers {
        while !story.policy.summons() {
            let orders = story.beat(DRY, Ran::No);
            orders.wake.iter().for_each(|_| story.resumed());
        }
        let worker = story.policy.roster.outsiders(0, 1).next().expect("three are funded");
        let _ = summoned(story, worker, false);
        while let Some(worker) = story.policy.sweep.in_turn {
            let _ = turned(story, worker);
        }
        let orders = story.beat(if taken { DRY } else { PLENTY }, Ran::No);
        orders.wake.iter().for_each(|_| story.resumed());
    }
    story.policy.lease.due().expect("it has tokens to offer") - story.now
}

#[test]
fn offers_are_as_frequent_as_at_first_once_somebody_takes_one() {
    let mut story = summoning();
    let (_, longest) = Knobs::default().lease.expect("the default").pause;
    assert_eq!(pause_after(&mut story, 8, false), longest);
    story.policy.release.saw(0);
    assert!(pause_after(&mut story, 1, true) < longest / 2);
}

/// As long as a token lies there no other process waits for one.
#[test]
fn nobody_is_summoned_while_nobody_can_have_a_use_for_it() {
    let mut story = summoning();
    let _ = pause_after(&mut story, 1, false);
    let begin = story.now;
    while story.now < begin + 1_000 * MILLISECOND {
        assert!(!story.beat(PLENTY, Ran::No).summon);
    }
}

#[test]
fn whoever_yielded_has_what_nobody_took_although_nobody_is_parked() {
    let mut story = Story::with(3, 3, Knobs { detect: None, ..Knobs::default() });
    story.spread();
    while !story.beat(DRY, Ran::No).summon {}
    let (verdict, orders) = yields(&mut story, 2);
    assert_eq!((verdict, woken(&orders), story.funds), (Verdict::Park, vec![], 1));
    assert_eq!(woken(&story.beat(PLENTY, Ran::No)), [(2, Wake::Work)]);
}

#[test]
fn whoever_is_summoned_makes_room_for_one_that_is_back_from_blocking() {
    let mut story = summoning();
    story.tell(|policy, now, out| policy.blocked(now, 3, out));
    let _ = story.tell(|policy, now, out| policy.unblocked(now, 3, out));
    let (verdict, orders) = summoned(&mut story, 2, false);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(3, Wake::Work)]));
    assert_eq!((story.policy.admitted(), story.policy.tally().turns), (3, 0));
    assert!(story.policy.lease.due() > Some(story.now), "the next ones are summoned later");
}

#[test]
fn one_that_comes_back_during_the_turns_before_an_offer_has_the_fund() {
    let mut story = summoning();
    assert_eq!(woken(&summoned(&mut story, 3, false).1), [(0, Wake::Turn)]);
    story.tell(|policy, now, out| policy.blocked(now, 2, out));
    while story.policy.absences.queued() == 0 {
        // It was parked meanwhile, and took the fund of the one that blocked.
        let _ = story.tell(|policy, now, out| policy.unblocked(now, 2, out));
    }
    let (verdict, orders) = turned(&mut story, 0);
    assert_eq!((verdict, woken(&orders)), (Verdict::Park, vec![(2, Wake::Work)]));
    assert_eq!((story.policy.tally().offers, story.policy.admitted()), (0, 3));
    assert!(story.policy.lease.due() > Some(story.now), "there will be another one");
}

#[test]
fn one_that_waits_for_a_latch_has_but_every_other_summons() {
    let mut story = summoning();
    let nested = story.policy.roster.take_oldest().expect("there are but three funds");
    story.policy.roster.park_nested(nested, story.now);
    assert_eq!(woken(&summoned(&mut story, 3, true).1), [(nested, Wake::Work)]);
    story.resumed();
    while !story.policy.summons() {
        story.beat(DRY, Ran::No);
    }
    let _ = summoned(&mut story, 2, true);
    assert_eq!((story.policy.tally().offers, story.policy.admitted()), (1, 2), "now others may");
}

#[test]
fn the_last_that_is_funded_does_not_heed_a_summons_but_others_do_later() {
    let mut story = summoning();
    // All others block, and what funds them is taken by another pool.
    story.policy.rival = true;
    for worker in [2, 3] {
        story.tell(|policy, now, out| policy.blocked(now, worker, out));
    }
    let left = story.policy.lookout().expect("one is left");
    assert_eq!(summoned(&mut story, left, false).0, Verdict::Stay);
    assert!(!story.policy.summons());
    story.policy.rival = false;
    for worker in [2, 3] {
        let _ = story.tell(|policy, now, out| policy.unblocked(now, worker, out));
    }
    assert_eq!(story.policy.admitted(), 3);
    assert!(story.policy.lease.due() > Some(story.now));
}

/// A busy pool of three workers and as many funds that must not give way, in which somebody is back from blocking and
/// waits for a fund that others took.
#[test]
fn a_busy_pool_that_must_not_give_way_looks_after_one_that_is_back_from_blocking() {
    let usual = Knobs::default();
    let lease = usual.lease.map(|pace| Pace { gives: false, ..pace });
    for adopted in [false, true] {
        let forbearance = 10_000 * MILLISECOND;
        let mut story = Story::with(3, 3, Knobs { detect: None, lease, forbearance, ..usual });
        story.spread();
        story.policy.adopted = adopted;
        story.tell(|policy, now, out| policy.blocked(now, 2, out));
        assert_eq!(std::mem::take(&mut story.funds), 1, "nobody is parked");
        let _ = story.tell(|policy, now, out| policy.unblocked(now, 2, out));
        let begin = story.now;
        let mut summon = false;
        while !summon && story.now < begin + 1_000 * MILLISECOND {
            summon = story.beat(DRY, Ran::No).summon;
        }
        assert_eq!(summon, !adopted, "nobody may ever run a copy that lies there");
        if summon {
            assert_eq!(woken(&summoned(&mut story, 0, false).1), [(2, Wake::Work)]);
        }
    }
}

#[test]
fn a_summons_of_a_pool_that_must_not_give_way_is_over_once_nobody_is_parked_and_comes_again() {
    let usual = Knobs::default();
    let lease = usual.lease.map(|pace| Pace { gives: false, ..pace });
    let mut story = Story::with(4, 3, Knobs { detect: None, lease, ..usual });
    story.spread();
    let until_summoned = |story: &mut Story| while !story.beat(DRY, Ran::No).summon {};
    until_summoned(&mut story);
    story.funds = 1;
    story.tell(|_, _, out| out.take.funds += 1);
    assert_eq!(story.policy.admitted(), 4, "the last one has a fund now");
    assert_eq!(summoned(&mut story, 0, false).0, Verdict::Stay);
    story.tell(|policy, now, out| policy.blocked(now, 0, out));
    story.funds = 0;
    let _ = story.tell(|policy, now, out| policy.unblocked(now, 0, out));
    until_summoned(&mut story);
}
