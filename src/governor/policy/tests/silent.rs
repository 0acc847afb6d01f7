//! Stories of a pool that is called by rayon's own functions, of which nobody tells it.

use super::*;

/// A pool of eight workers in a call that nobody announced, all of them admitted, just when one has
/// found nothing more to do.
fn serial() -> Story {
    let mut story = Story::new(8, true, 8);
    // The lookout runs: there is a call.
    story.now += Knobs::default().beat.1;
    story.beat(PLENTY, Ran::Yes);
    for _ in 0..20 {
        let woken = story.beat(PLENTY, Ran::No).wake.len();
        (0..woken).for_each(|_| story.resumed());
        if story.policy.admitted() == 8 && matches!(story.policy.phase, Phase::Saturated { .. }) {
            break;
        }
    }
    assert_eq!(story.policy.admitted(), 8, "{:?}", story.policy);
    story.now += 10 * MILLISECOND;
    let sighting =
        Sighting { worker: 3, nested: false, moved: false, judged: Judged::Active, late: false };
    let _ = story.tell(|policy, now, out| policy.taken(now, DRY, sighting, out));
    assert_eq!(story.policy.phase, Phase::Slack);
    story
}

/// So many workers have run for a job's time.
fn felt(active: usize) -> Felt {
    (0..active).fold(Felt::default(), |felt, _| felt.and(100_000)).and(0)
}

/// How long it takes until a token is to go back, if so many workers are seen to run each time.
fn until_release(story: &mut Story, active: usize) -> Nanos {
    released_by(story, active, 100).expect("nothing goes back")
}

/// The same, unless nothing happens so many times first.
fn released_by(story: &mut Story, active: usize, times: usize) -> Option<Nanos> {
    let begin = story.now;
    for _ in 0..times {
        story.now = story.policy.deadline().expect("tokens are idle").max(story.now);
        if story.policy.feels(story.now) {
            let now = story.now;
            story.policy.felt(now, Some(felt(active)));
        }
        if story.after(0, DRY).posts > 0 {
            return Some(story.now - begin);
        }
    }
    None
}

#[test]
fn tokens_are_kept_in_a_serial_phase_and_go_back_soon_after_the_call() {
    let (without, _) = Knobs::default().patience;
    let after = until_release(&mut serial(), 0);
    assert_eq!(after, without, "nobody runs any more");
    let within = until_release(&mut serial(), 1);
    assert_eq!(within, 4 * without, "somebody does");
}

#[test]
fn whether_kept_tokens_are_wanted_is_seen_when_the_clocks_are_looked_at() {
    let mut story = serial();
    let (begin, hold) = (story.now, Knobs::default().hold);
    let (mut rounds, mut looks) = (0, 0);
    while story.now < begin + hold / 2 {
        story.now = story.policy.deadline().expect("tokens are idle").max(story.now);
        let now = story.now;
        rounds += 1;
        if story.policy.feels(now) {
            looks += 1;
            story.policy.felt(now, Some(felt(0)));
        }
        assert_eq!(story.after(0, PLENTY).give, 0, "nobody wants them");
    }
    assert!(looks > 20 && rounds <= looks + 3, "{rounds} rounds, {looks} looks");
}

#[test]
fn a_call_that_half_of_the_workers_run_in_keeps_all_tokens_once_nobody_has_wanted_any() {
    let (without, _) = Knobs::default().patience;
    let hold = Knobs::default().hold;
    let keeping = || {
        let mut story = serial();
        // What went back lay there until the pool had a use for it, twice.
        for doublings in 0..2 {
            assert_eq!(story.policy.release.patience(1), 1 << doublings);
            story.policy.release.next_round(true, 7, 8);
            story.policy.release.gave();
            story.policy.release.postpone(0);
            story.policy.release.reset();
        }
        let begin = story.now;
        assert_eq!(released_by(&mut story, 4, 500), None);
        assert!(story.now > begin + 5 * hold, "{} ns", story.now - begin);
        story
    };
    assert!(until_release(&mut keeping(), 3) <= 5 * hold / 4, "too few run");
    let mut story = keeping();
    story.policy.release.others_took_an_offer();
    assert!(until_release(&mut story, 4) < hold, "somebody wants tokens");

    let mut story = serial();
    assert_eq!(until_release(&mut story, 4), 4 * without, "nobody has been asked");
}

#[test]
fn workers_that_merely_stir_after_a_call_do_not_keep_tokens_that_nobody_wants() {
    let mut story = serial();
    let (begin, hold) = (story.now, Knobs::default().hold);
    let mut looks = 0;
    while story.now <= begin + 2 * hold {
        story.now = story.policy.deadline().expect("tokens are idle").max(story.now);
        if story.policy.feels(story.now) {
            // Every second time one of them has, but for no longer than it takes to fall asleep.
            looks += 1;
            let ran = STIR * (looks % 2);
            let now = story.now;
            story.policy.felt(now, Some(Felt::default().and(ran).and(0)));
        }
        if story.after(0, PLENTY).posts > 0 {
            break;
        }
    }
    let kept = story.now - begin;
    assert!(looks > 20, "{looks}");
    assert!(hold <= kept && kept < hold + MILLISECOND, "{kept} ns");
}

/// How long tokens are kept that nobody wants, where the pool has its workers run every 4 ms, as sweeps do, and two
/// looks after that find most of them running, for so long.
fn kept_beside_sweeps(ran: Nanos) -> Nanos {
    let mut story = serial();
    let (begin, most) = (story.now, 4 * Knobs::default().hold);
    let (mut swept, mut looks) = (begin, 0);
    while story.now <= begin + most {
        story.now = story.policy.deadline().expect("tokens are idle").max(story.now);
        let now = story.now;
        if now >= swept + 4 * MILLISECOND {
            story.policy.rest(now);
            (swept, looks) = (now, 0);
        } else if story.policy.feels(now) {
            looks += 1;
            let active = if looks <= 3 { 6 } else { 0 };
            let all = (0..active).fold(Felt::default(), |felt, _| felt.and(ran));
            story.policy.felt(now, Some(all.and(0)));
        }
        if story.after(0, PLENTY).posts > 0 {
            break;
        }
    }
    story.now - begin
}

#[test]
fn workers_on_their_way_to_sleep_keep_tokens_that_nobody_wants_once_at_most() {
    let hold = Knobs::default().hold;
    let searching = kept_beside_sweeps(200_000);
    assert!(2 * hold <= searching && searching < 2 * hold + 5 * MILLISECOND, "{searching} ns");
    assert!(kept_beside_sweeps(300_000) >= 4 * hold, "for longer than a search: those are jobs");
}

/// The pauses between the looks at workers, of which each runs for `part` of the time.
fn pauses(story: &mut Story, part: Nanos) -> Vec<Nanos> {
    let mut pauses = Vec::new();
    let mut last = story.now;
    for _ in 0..40 {
        let at = story.policy.pulse_due().expect("tokens may be idle");
        let pause = at - std::mem::replace(&mut last, at);
        story.now = at;
        story.policy.felt(at, Some(Felt::default().and(pause / part).and(pause / part)));
        let posts = story.after(0, DRY).posts;
        assert_eq!(posts, 0, "nobody is asked, though the last probe was taken long ago");
        pauses.push(pause);
    }
    // The first follows a probe, and the second one look that tells nothing.
    pauses.split_off(2)
}

#[test]
fn workers_that_compute_are_looked_at_less_often_the_longer_they_do() {
    let pauses = pauses(&mut serial(), 1);
    let (first, last) = (pauses[0], pauses[pauses.len() - 1]);
    assert!(pauses.is_sorted() && last == 6 * first, "{pauses:?}");
}

#[test]
fn workers_that_run_now_and_then_are_looked_at_often_and_keep_their_tokens() {
    let usual = pauses(&mut serial(), 3);
    let (first, last) = (usual[0], usual[usual.len() - 1]);
    assert!(usual.is_sorted() && last == 2 * first, "{usual:?}");
    let mut wanted = serial();
    wanted.policy.release.next_round(true, 1, 2);
    wanted.policy.release.gave();
    wanted.policy.release.next_round(true, 1, 2);
    wanted.policy.release.reset();
    assert!(wanted.policy.release.is_wanted());
    let pauses = pauses(&mut wanted, 3);
    assert!(pauses.iter().all(|&pause| pause == first), "others want tokens: {pauses:?}");
}

#[test]
fn workers_that_run_together_make_a_pool_look_for_saturation() {
    let mut story = serial();
    // One gives its token up and parks, so that there is somebody to add.
    until_release(&mut story, 1);
    let _ = story.taken(DRY, 5, false);
    assert_eq!(story.policy.admitted(), 7);
    let begin = story.now;
    for _ in 0..4 {
        story.now = story.policy.pulse_due().expect("it has a pulse");
        let now = story.now;
        story.policy.felt(now, Some(felt(3)));
    }
    assert!(story.policy.looks.probe_at.is_some(), "it is no serial phase any more");
    assert!(story.now <= begin + 3 * MILLISECOND);
    let (_, longest) = Knobs::default().look;
    for _ in 0..20 {
        story.now += longest;
        let now = story.now;
        story.policy.felt(now, Some(felt(3)));
    }
    assert_eq!(story.policy.looks.pause, longest, "if nothing comes of it, ever less often");
}

#[test]
fn a_system_that_does_not_tell_has_no_pulse() {
    let mut story = serial();
    let now = story.policy.pulse_due().expect("it has one until it is felt");
    story.policy.felt(now, None);
    assert_eq!(story.policy.pulse_due(), None);
    assert!(!story.policy.is_called());
}

#[test]
fn growth_that_helps_goes_on_to_the_width_it_once_had() {
    let mut growth = Growth::new(Knobs::default().backoff, 0);
    for admitted in [2, 4, 8] {
        growth.started(admitted / 2);
        growth.confirmed(0, admitted, 64);
    }
    growth.shrunk();
    assert_eq!(growth.step(), 1, "it may be narrow now");
    growth.started(1);
    growth.confirmed(0, 2, 64);
    assert_eq!(growth.step(), 6, "it is not");
    growth.started(6);
    assert!(growth.failed(0, 1));
    assert_eq!(
        (growth.step(), growth.reached()),
        (1, 8),
        "a serial phase tells nothing of wide ones"
    );
    growth.recalled(6);
    assert!(growth.failed(0, 1));
    assert_eq!((growth.step(), growth.reached()), (1, 1), "a call that makes no use of them does");
    let mut growth = Growth::new(Knobs::default().backoff, 0);
    growth.started(7);
    growth.confirmed(0, 8, 64);
    growth.recalled(7);
    growth.forget();
    growth.started(6);
    assert!(growth.failed(0, 1));
    assert_eq!(growth.reached(), 8, "these were no more than tried");
    growth.recalled(7);
    assert!(growth.failed(0, 1));
    growth.started(3);
    growth.confirmed(0, 4, 64);
    growth.started(4);
    assert!(growth.failed(0, 8));
    assert_eq!((growth.step(), growth.reached()), (1, 4), "as wide as it was of use");
    growth.recall();
    assert_eq!(growth.step(), 3, "at once");
}

#[test]
fn a_lookout_that_is_busy_has_been_called() {
    let mut story = Story::new(8, true, 8);
    assert!(!story.policy.is_called());
    let most = Knobs::default().beat.1;
    let orders = (0..10).map(|_| {
        story.now += most;
        story.tell(|policy, now, out| policy.tick(now, PLENTY, Ran::Busy, out)).1
    });
    let orders = orders.into_iter().find(|orders| !orders.wake.is_empty());
    assert_eq!(orders.map(|orders| orders.wake.len()), Some(1), "one more may be of use");
    assert!(story.policy.is_called());
}

#[test]
fn a_worker_that_was_in_a_job_while_the_probe_lay_keeps_its_token() {
    for (late, verdict) in [(true, Verdict::Stay), (false, Verdict::Park)] {
        let mut story = serial();
        until_release(&mut story, 0);
        assert_eq!(taken_late(&mut story, late), verdict);
    }
}

/// A worker that has run little takes the probe, perhaps late.
fn taken_late(story: &mut Story, late: bool) -> Verdict {
    let sighting = Sighting { worker: 5, nested: false, moved: false, judged: Judged::Quiet, late };
    story.tell(|policy, now, out| policy.taken(now, DRY, sighting, out)).0
}

#[test]
fn a_late_worker_of_a_pool_in_which_nobody_runs_is_believed_once() {
    let mut story = serial();
    until_release(&mut story, 0);
    assert_eq!(taken_late(&mut story, true), Verdict::Stay);
    until_release(&mut story, 0);
    assert_eq!(taken_late(&mut story, true), Verdict::Park, "nobody has run since");

    let mut story = serial();
    until_release(&mut story, 0);
    assert_eq!(taken_late(&mut story, true), Verdict::Stay);
    until_release(&mut story, 1);
    assert_eq!(taken_late(&mut story, true), Verdict::Stay, "somebody has");
}

#[test]
fn nobody_is_swept_beside_a_call_that_goes_on() {
    let mut story = serial();
    until_release(&mut story, 1);
    let _ = story.taken(DRY, 5, false);
    let (least, most) = (Knobs::default().sweep, 50 * Knobs::default().sweep);
    assert!(story.policy.sweep_at() >= story.policy.sweep.since + most, "the pulse beats");
    story.policy.pulse = Pulse::default();
    assert_eq!(story.policy.sweep_at(), story.policy.slack_since + least, "nobody runs");
}

/// A pool that only keeps watch, at a beat of which its lookout has not run. Eight workers were of use before.
fn watching() -> Story {
    let mut story = Story::new(8, true, 8);
    story.policy.growth.started(7);
    story.policy.growth.confirmed(0, 8, 8);
    story.policy.growth.shrunk();
    beats(&mut story, Ran::No);
    assert_eq!((story.policy.admitted(), story.policy.heart.quiet), (1, 1));
    story
}

/// The next beat tells this of the lookout, which takes every probe until then, and finds nothing.
fn beats(story: &mut Story, ran: Ran) -> Orders {
    while !story.policy.watches(story.now) {
        let orders = match story.policy.lookout() {
            Some(lookout) if story.policy.probes > 0 => story.taken(PLENTY, lookout, false).1,
            _ => {
                story.now = story.policy.deadline().expect("it keeps watch").max(story.now);
                if story.policy.watches(story.now) { break } else { story.after(0, PLENTY) }
            }
        };
        orders.wake.iter().for_each(|_| story.resumed());
        while let Some(worker) = story.policy.sweep.in_turn {
            let _ = story.turned(worker);
        }
    }
    story.tell(|policy, now, out| policy.tick(now, PLENTY, ran, out)).1
}

#[test]
fn a_call_that_keeps_the_lookout_busy_has_at_once_what_was_of_use_before() {
    let orders = beats(&mut watching(), Ran::Busy);
    assert_eq!((orders.posts, orders.wake.len()), (1, 7));
}

#[test]
fn a_lookout_that_has_run_is_asked_and_if_it_is_busy_all_that_were_of_use_before_come_at_once() {
    let mut story = watching();
    let orders = beats(&mut story, Ran::Yes);
    assert_eq!((orders.posts, orders.wake.len()), (1, 0), "it may be idle by now");
    assert!(story.policy.is_called() && story.policy.sweep.announced, "it may have run a copy");
    assert_eq!(story.policy.slack_since, story.now);
    assert_eq!(story.beat(PLENTY, Ran::No).wake.len(), 7);
    // It has not run at the next one: the call is over.
    let mut story = watching();
    beats(&mut story, Ran::Yes);
    let lookout = story.policy.lookout().expect("there is but one");
    story.policy.sweep.announced = false;
    let _ = story.taken(PLENTY, lookout, false);
    beats(&mut story, Ran::No);
    assert!(!story.policy.is_called());
}

/// Once a long job that nobody announced passed for one call after another.
#[test]
fn a_lookout_that_computes_on_is_no_news_once_that_has_gone_on_for_long() {
    let mut story = watching();
    let begin = story.now;
    let mut last = begin;
    while !story.policy.growth.is_still(story.now) {
        assert!(story.now < begin + 1_000 * MILLISECOND, "each beat passes for a change");
        beats(&mut story, Ran::Yes);
        last = story.now;
        assert!(story.policy.slack_since == last || story.policy.growth.is_still(last));
    }
    story.policy.sweep.announced = false;
    for _ in 0..5 {
        beats(&mut story, Ran::Yes);
        assert!(story.policy.slack_since <= last && story.now > last, "nothing has changed");
        assert!(!story.policy.sweep.announced);
    }
    // It sleeps for a while: whatever it runs then it was called for.
    beats(&mut story, Ran::No);
    beats(&mut story, Ran::Yes);
    assert!(!story.policy.growth.is_still(story.now) && story.policy.sweep.announced);
}

#[test]
fn activity_makes_beats_and_sweeps_as_frequent_as_at_first() {
    let mut story = watching();
    let Knobs { beat: (first, longest), sweep, resweeps, .. } = story.policy.knobs;
    while story.policy.heart.beat < longest {
        beats(&mut story, Ran::No);
    }
    assert_eq!(story.policy.heart.beat, longest);
    assert!(story.policy.sweep.repeats >= resweeps, "{}", story.policy.sweep.repeats);
    story.enter();
    story.tell(Policy::leave);
    assert_eq!(story.policy.heart.at, story.now + first);
    assert_eq!(story.policy.next_resweep(), Some(story.now + 2 * sweep));
    assert!(!story.policy.heart.is_long_idle(longest));
}

#[test]
fn the_longest_parked_worker_has_a_turn_after_so_many_quiet_beats() {
    let mut story = watching();
    let rotation = story.policy.knobs.rotation;
    // Nothing else is planned, and nothing is left to be found.
    story.policy.knobs.resweeps = 0;
    let turns = |story: &mut Story| {
        let before = story.policy.tally().turns;
        (0..rotation).for_each(|_| _ = beats(story, Ran::No));
        story.policy.tally().turns - before
    };
    while story.policy.roster.any_stale(story.policy.epoch) {
        turns(&mut story);
    }
    assert_eq!([turns(&mut story), turns(&mut story)], [1, 1]);
}

#[test]
fn what_went_back_in_a_serial_phase_is_fetched_once_half_of_the_workers_run() {
    let mut story = serial();
    until_release(&mut story, 1);
    assert_eq!(story.taken(DRY, 5, false).0, Verdict::Park);
    assert_eq!((story.policy.admitted(), story.policy.release.given()), (7, 1));
    let begin = story.now;
    while story.policy.admitted() < 8 {
        story.now = story.policy.pulse_due().expect("it has a pulse");
        assert!(story.now < begin + 3 * MILLISECOND && story.policy.probes == 0);
        let now = story.now;
        story.policy.felt(now, Some(felt(4)));
        story.after(0, PLENTY);
    }
    assert_eq!(story.policy.release.given(), 0, "it is no matter any more");
}

#[test]
fn a_late_worker_is_believed_once_more_after_somebody_has_run() {
    let mut story = serial();
    until_release(&mut story, 0);
    assert_eq!(taken_late(&mut story, true), Verdict::Stay);
    for active in [0, 1, 0] {
        story.now = story.policy.pulse_due().expect("it has a pulse");
        let now = story.now;
        story.policy.felt(now, Some(felt(active)));
    }
    until_release(&mut story, 0);
    assert_eq!(taken_late(&mut story, true), Verdict::Stay);
}

#[test]
fn workers_that_compute_are_looked_at_more_often_where_others_want_tokens() {
    let mut story = serial();
    story.policy.release.next_round(true, 1, 2);
    story.policy.release.gave();
    story.policy.release.next_round(true, 1, 2);
    story.policy.release.reset();
    let pauses = pauses(&mut story, 1);
    let (first, last) = (pauses[0], pauses[pauses.len() - 1]);
    assert!(pauses.is_sorted() && last == 2 * first, "{pauses:?}");
}

/// It may have run what a bare call left, or have been woken in passing.
#[test]
fn where_nobody_is_known_to_call_one_that_may_have_worked_puts_tokens_off_and_has_the_parked_swept()
{
    let mut story = serial();
    until_release(&mut story, 0);
    assert_eq!(taken_late(&mut story, false), Verdict::Park);
    story.policy.epoch -= u64::from(story.policy.roster.any_stale(story.policy.epoch));
    assert!(!story.policy.is_called() && !story.policy.roster.any_stale(story.policy.epoch));
    story.policy.phase = Phase::Saturated { since: story.now };
    story.policy.probes = 1;
    let judged = Judged::Unknown;
    let sighting = Sighting { worker: 6, nested: false, moved: false, judged, late: false };
    let verdict = story.tell(|policy, now, out| policy.taken(now, DRY, sighting, out)).0;
    assert_eq!(verdict, Verdict::Stay);
    assert!(story.policy.roster.any_stale(story.policy.epoch));
}

/// Once each broadcast of a loop waited for 2 ms, and ran on one fund, whatever lay there.
#[test]
fn whoever_had_a_copy_of_a_broadcast_is_admitted_if_tokens_lie_there_and_else_soon_has_another_turn()
 {
    for (market, admitted) in [(PLENTY, 8), (DRY, 1)] {
        let mut story = watching();
        if market == DRY {
            story.funds = 0;
        }
        beats(&mut story, Ran::Yes);
        let lookout = story.policy.lookout().expect("it is asked");
        let _ = story.taken(market, lookout, false);
        let mut woken = 0;
        while let Some(worker) = story.policy.sweep.in_turn {
            let turned = |policy: &mut Policy, now, out: &mut _| {
                policy.turned(now, market, worker, true, out)
            };
            let wake = story.tell(turned).1.wake;
            woken += wake.iter().filter(|(_, how)| *how == Wake::Work).count();
        }
        (0..woken).for_each(|_| story.resumed());
        assert_eq!(story.policy.admitted(), admitted);
        if admitted == 1 {
            story.policy.calm();
            let pause = story.policy.knobs.sweep / 8;
            assert_eq!(story.policy.sweep_at(), story.policy.idle_since() + pause);
        }
    }
}
