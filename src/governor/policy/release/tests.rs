//! The pace of giving back, round by round.

use super::*;

/// A slack in which one of twelve spare tokens goes back, and is `taken` by others or lies there.
/// Returns how many were to go at first.
fn slack_of_twelve(release: &mut Release, taken: bool) -> usize {
    release.next_round(true, 12, 13);
    let first = release.pending();
    assert_eq!(release.asks_several(), first > 1);
    release.gave();
    if taken {
        release.next_round(true, 11, 12);
    } else {
        release.postpone(7);
    }
    release.reset();
    first
}

#[test]
fn patience_doubles_while_nobody_wants_what_goes_back() {
    let mut release = Release::default();
    let mut slack = |lies: bool| {
        release.next_round(true, 3, 4);
        release.gave();
        if lies {
            release.postpone(7)
        } else {
            release.next_round(true, 2, 3)
        }
        release.reset();
        release.patience(5)
    };
    assert_eq!([slack(true), slack(true), slack(true)], [10, 20, 20]);
    assert_eq!([slack(false), slack(false)], [5, 2], "somebody took one, and again");
    assert_eq!([slack(true), slack(true)], [5, 10], "nobody did any more");
}

#[test]
fn patience_doubles_when_the_only_token_is_fetched_back() {
    let mut release = Release::default();
    let mut slack = |fetched: bool| {
        release.next_round(true, 1, 2);
        release.gave();
        release.reset();
        release.fetched(fetched, false);
        release.fetched(true, false);
        release.patience(5)
    };
    assert_eq!([slack(true), slack(false), slack(true)], [10, 10, 20]);
}

/// Once each call after a pause made patience forget what the one before had taught it.
#[test]
fn what_a_later_call_takes_nobody_else_has_taken() {
    let patience = |anew: usize| {
        let mut release = Release::default();
        release.refuted();
        release.next_round(false, 1, 2);
        release.gave();
        release.reset();
        release.taken_anew(anew);
        release.saw(0);
        release.patience(5)
    };
    assert_eq!([patience(1), patience(0)], [10, 5]);
}

#[test]
fn patience_doubles_only_if_what_is_fetched_back_is_of_use() {
    let slack = |fetched: bool, on_trial: bool, useful: bool| {
        let mut release = Release::default();
        release.next_round(true, 1, 2);
        release.gave();
        release.reset();
        release.fetched(fetched, on_trial);
        release.fetched(true, on_trial);
        release.proved(useful);
        release.proved(true);
        release.patience(5)
    };
    assert_eq!([slack(true, false, false), slack(false, false, true)], [10, 5]);
    assert_eq!([slack(true, true, true), slack(true, true, false)], [10, 5]);
}

#[test]
fn a_slack_begins_with_as_many_as_were_taken_in_the_one_before() {
    let mut release = Release::default();
    let mut first = |taken: bool| slack_of_twelve(&mut release, taken);
    assert_eq!([first(true), first(true), first(true)], [1, 4, 11]);
    assert_eq!([first(false), first(false), first(true)], [11, 5, 2], "nobody wants them any more");
}

#[test]
fn a_slack_begins_with_all_that_went_back_in_the_one_before() {
    let mut release = Release::default();
    for size in [1, 4, 7] {
        let spare = 12 - release.given();
        release.next_round(true, spare, spare + 1);
        assert_eq!(release.pending(), size);
        (0..size).for_each(|_| release.gave());
    }
    release.reset();
    release.next_round(true, 12, 13);
    assert_eq!(release.pending(), 11, "but for one to tell by");
}

#[test]
fn a_round_in_which_everybody_proves_busy_tells_nothing() {
    let mut release = Release::default();
    release.next_round(true, 12, 13);
    release.answered(7);
    release.next_round(true, 12, 13);
    assert_eq!((release.pending(), release.is_wanted()), (1, false));
    release.gave();
    release.next_round(true, 11, 12);
    assert_eq!((release.pending(), release.is_wanted()), (4, true));
}

#[test]
fn what_goes_back_because_it_was_kept_too_long_is_not_known_to_be_taken() {
    let mut release = Release::default();
    release.everything(2, 3);
    release.gave();
    release.next_round(true, 1, 2);
    assert_eq!((release.is_wanted(), release.patience(4)), (false, 4));
}

#[test]
fn a_worker_that_proves_busy_makes_others_wait_only_if_they_took_no_tokens_lately() {
    let mut release = Release::default();
    let mut slack = |taken: bool| {
        slack_of_twelve(&mut release, taken);
        let before = release.patience(4);
        release.refuted();
        (before, release.patience(4))
    };
    assert_eq!([slack(true), slack(false)], [(2, 2), (4, 4)], "they took four, then none");
    assert_eq!([slack(false), slack(false)], [(8, 8), (16, 16)], "and none again");
    release.refuted();
    assert_eq!(release.patience(4), 16, "the longest there is");
    let mut release = Release::default();
    release.refuted();
    assert_eq!(release.patience(4), 8, "nobody has taken any");
}

#[test]
fn patience_is_short_again_once_tokens_do_not_come_back() {
    let mut release = Release::default();
    release.refuted();
    release.everything(3, 4);
    release.reset();
    release.missed(4);
    assert_eq!(release.patience(5), 10, "all the pool ever had are at hand");
    release.missed(3);
    assert_eq!(release.patience(5), 5);
}

#[test]
fn what_lies_there_tells_whether_tokens_that_went_back_were_taken() {
    let slack = |lying: usize| {
        let mut release = Release::default();
        release.refuted();
        release.next_round(true, 3, 4);
        release.gave();
        release.reset();
        release.saw(lying);
        release.fetched(true, false);
        (release.patience(5), release.is_unwanted())
    };
    assert_eq!(slack(0), (5, false), "others took it, and what is fetched is another one");
    assert_eq!(slack(1), (20, true));
}

#[test]
fn between_calls_tokens_go_back_sooner_and_all_at_once_to_those_who_took_them_before() {
    let mut release = Release::default();
    let mut slack = || {
        let patience = release.patience_between(8);
        release.next_round(false, 12, 13);
        let first = release.pending();
        (0..first).for_each(|_| release.gave());
        let left = 12 - first;
        release.next_round(false, left, left + 1);
        let second = release.pending();
        (0..second).for_each(|_| release.gave());
        release.next_round(false, 1, 2);
        release.reset();
        (patience, first, second)
    };
    assert_eq!([slack(), slack(), slack()], [(8, 1, 11), (2, 11, 1), (2, 11, 1)]);
}

#[test]
fn tokens_are_kept_longer_between_calls_only_while_nobody_wants_them() {
    let mut release = Release::default();
    let mut slack = |taken: bool| {
        release.next_round(true, 3, 4);
        release.gave();
        if taken {
            release.next_round(true, 2, 3);
        }
        release.reset();
        release.fetched(true, false);
        release.patience_between(5)
    };
    assert_eq!([slack(false), slack(false), slack(false)], [10, 20, 20]);
    assert_eq!(slack(true), 5, "somebody took the first");
}

#[test]
fn within_a_call_fewer_are_asked_at_once_than_between_two() {
    let mut release = Release::default();
    release.everything(12, 13);
    assert_eq!((release.burst(true, 0), release.burst(true, 3)), (BURST, BURST - 3));
    assert_eq!((release.burst(false, 0), release.burst(false, 9)), (BURST_BETWEEN, 0));
    (0..10).for_each(|_| release.gave());
    assert_eq!((release.burst(true, 0), release.burst(false, 0)), (2, 2), "that is all");
}

#[test]
fn once_there_is_nothing_to_watch_for_idle_tokens_need_not_wait_but_for_a_canary() {
    let mut release = Release::default();
    assert!(release.survey(10) && !release.survey(20));
    assert_eq!(release.not_before(), 10);
    release.seen_enough();
    assert_eq!(release.not_before(), 0);
    release.next_round(true, 3, 4);
    release.gave();
    release.postpone(30);
    release.seen_enough();
    assert_eq!(release.not_before(), 30);
}

#[test]
fn others_that_take_tokens_after_nobody_wanted_any_are_heeded_at_once() {
    let unwanted = || {
        let mut release = Release::default();
        release.next_round(true, 3, 4);
        release.gave();
        release.postpone(7);
        release.reset();
        assert!(release.is_unwanted());
        release
    };
    let mut release = unwanted();
    release.next_round(true, 3, 4);
    release.gave();
    release.reset();
    release.saw(0);
    assert!(!release.is_unwanted(), "it is gone");
    let mut release = unwanted();
    release.everything(3, 4);
    release.missed(1);
    assert!(!release.is_unwanted(), "none is to be had");
}

/// Somebody may want the tokens that lie there, and have found nobody to run on them yet.
#[test]
fn what_went_back_before_is_not_known_to_be_unwanted_once_others_want_more() {
    let mut release = Release::default();
    release.next_round(true, 3, 4);
    release.gave();
    release.reset();
    release.next_round(true, 3, 4);
    release.gave();
    release.next_round(true, 2, 3);
    release.fetched(true, false);
    assert_eq!(release.patience(8), 4);
}

#[test]
fn others_that_take_one_and_no_more_are_given_one_the_next_time() {
    let mut release = Release::default();
    assert_eq!(slack_of_twelve(&mut release, false), 1);
    release.next_round(true, 12, 13);
    release.gave();
    release.next_round(true, 11, 12);
    (0..4).for_each(|_| release.gave());
    release.postpone(7);
    release.reset();
    release.next_round(true, 12, 13);
    assert_eq!(release.pending(), 1);
}
