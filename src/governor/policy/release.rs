//! How fast idle tokens go back: one first, or as many as others took the last time, then, as long as each is
//! taken, four times as many.

use super::Nanos;

/// The pace at which idle tokens are given back.
#[derive(Debug, Default)]
pub(crate) struct Release {
    /// Size of the latest round.
    round: usize,
    /// Tokens of the latest round that are still to go.
    pending: usize,
    /// There were more than one at its beginning.
    several: bool,
    /// Some have gone, so that it shows whether others take them.
    gone: bool,
    /// Tokens that have gone back in this slack.
    given: usize,
    not_before: Nanos,
    /// Whether the workers were looked at since the pool went slack.
    surveyed: bool,
    /// Whether the tokens that went back in this slack lay untouched when last looked at, if any
    /// went back.
    canary: Option<bool>,
    /// So many tokens went back in earlier slacks, and nobody has looked whether they were taken.
    unsure: usize,
    /// Such were fetched back, and whether they are of use will be seen.
    tried: bool,
    /// The funds at hand before tokens went back the last time.
    before: usize,
    /// Others have taken what went back in this slack before the latest round.
    taken: bool,
    /// How large the first round of a slack is: as much as went back in the last one in which others took
    /// some, or was to go at least.
    first: usize,
    /// How often patience has doubled since tokens were last seen to be wanted by others, or, below
    /// zero, has been halved because they were.
    doublings: i32,
    /// How often in succession nobody wanted what went back.
    unwanted: u32,
}

/// Doublings of the patience at most.
const MOST: i32 = 2;

/// Halvings at most: what is left of 2.5 ms is as short as the look at whether tokens are taken.
const LEAST: i32 = -4;

/// Probes of one round that lie in the injector at once within a call. More would wake more workers than run at
/// once on a small machine, and none of them in time.
const BURST: usize = 4;

/// The same between two calls, when the workers have nothing else to do. With four of sixteen workers' probes, those
/// who wait for all tokens have them an eighth later (`latency -- back`, median).
const BURST_BETWEEN: usize = 2 * BURST;

impl Release {
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// When idle tokens are to be looked at next.
    pub(crate) fn not_before(&self) -> Nanos {
        self.not_before
    }

    /// How many tokens have gone back since the pool was last active.
    pub(crate) fn given(&self) -> usize {
        self.given
    }

    /// How many probes the round has room for beside `posted`, `within` a call or not.
    pub(crate) fn burst(&self, within: bool, posted: usize) -> usize {
        let most = if within { BURST } else { BURST_BETWEEN };
        self.pending.min(most).saturating_sub(posted)
    }

    pub(crate) fn surveyed(&self) -> bool {
        self.surveyed
    }

    /// Whether the workers are to be looked at first, and if so, notes that they are: idle tokens
    /// are looked at again at `at`, and who has not run by then is idle.
    pub(crate) fn survey(&mut self, at: Nanos) -> bool {
        if self.surveyed {
            return false;
        }
        self.surveyed = true;
        self.not_before = at;
        true
    }

    /// There is nothing more to watch the workers for: idle tokens are looked at as soon as they are due.
    pub(crate) fn seen_enough(&mut self) {
        if self.canary.is_none() {
            self.not_before = 0;
        }
    }

    /// How long idle tokens are kept within a call, if it is `first` at the beginning. Longer where
    /// nobody is seen to want them, shorter where somebody is: giving back what nobody wants costs
    /// the next phase a worker until it is fetched,
    /// and to ask workers that prove busy costs them a moment.
    pub(crate) fn patience(&self, first: Nanos) -> Nanos {
        if self.doublings < 0 { first >> -self.doublings } else { first << self.doublings }
    }

    /// How long idle tokens are kept between two calls, if it is `first` where somebody may want them: a quarter
    /// of that where others have taken what went back twice in succession.
    pub(crate) fn patience_between(&self, first: Nanos) -> Nanos {
        if self.doublings < 0 { first / 4 } else { first << self.unwanted.min(MOST as u32) }
    }

    /// Nobody wanted what went back.
    fn came_back(&mut self) {
        self.doublings = (self.doublings + 1).min(MOST);
        self.unwanted = self.unwanted.saturating_add(1);
        self.first /= 2;
    }

    /// A worker that was asked to give way proved busy. Where others took several tokens lately it may have been
    /// at the very end of its phase, and they wait for the next one.
    pub(crate) fn refuted(&mut self) {
        if self.doublings >= 0 && self.first == 0 {
            self.doublings = (self.doublings + 1).min(MOST);
        }
    }

    /// Whether others are known to take what goes back.
    pub(crate) fn is_wanted(&self) -> bool {
        self.taken || self.doublings < 0
    }

    /// Tokens were fetched after some had gone back: nobody had wanted those. Or there were none. Those `on
    /// trial` may be of no use here either.
    pub(crate) fn fetched(&mut self, any: bool, on_trial: bool) {
        if std::mem::take(&mut self.unsure) > 0 && any {
            if on_trial {
                self.tried = true;
            } else {
                self.came_back();
            }
        }
    }

    /// So many funds were taken for a call after an idle time, in which others may have used them.
    pub(crate) fn taken_anew(&mut self, funds: usize) {
        self.unsure = self.unsure.saturating_sub(funds);
    }

    /// So many tokens lie in the jobserver: if that is less than went back, others have taken some.
    pub(crate) fn saw(&mut self, lying: usize) {
        if lying < self.unsure {
            self.unsure = 0;
            self.doublings = self.doublings.min(0);
            self.unwanted = 0;
        } else if self.unsure > 0 {
            self.unwanted = self.unwanted.max(1);
        }
    }

    /// The trial has ended, and has shown whether what was fetched is of use.
    pub(crate) fn proved(&mut self, useful: bool) {
        if std::mem::take(&mut self.tried) && useful {
            self.came_back();
        }
    }

    /// Others have taken a token that was offered though it was of use here.
    pub(crate) fn others_took_an_offer(&mut self) {
        self.unwanted = 0;
    }

    /// Tokens were not to be had, with so many funds at hand.
    pub(crate) fn missed(&mut self, funds: usize) {
        if funds < self.before {
            self.doublings = self.doublings.min(0);
            self.unwanted = 0;
        }
    }

    /// Whether others are known to leave what goes back.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.unwanted > 0
    }

    /// The same, time and again: patience can grow no longer.
    pub(crate) fn is_most_patient(&self) -> bool {
        self.doublings == MOST && self.is_unwanted()
    }

    /// Begins a round of at most `spare` tokens: after the first one, `within` a call one that is four times as
    /// large as the one before, else of all.
    pub(crate) fn next_round(&mut self, within: bool, spare: usize, funds: usize) {
        if self.canary == Some(false) && !self.gone {
            // All that were asked proved busy: nothing is known but that.
            self.ask(self.round.clamp(1, spare));
            return;
        }
        let before = self.canary.replace(false);
        if before.is_some() {
            self.unwanted = 0;
            self.unsure = 0;
        }
        match before {
            Some(false) if self.round > 0 => {
                if !self.taken {
                    // Others are short of tokens. Processes whose wide phases come in turn then pass
                    // them on sooner each time.
                    self.doublings = (self.doublings.min(1) - 1).max(LEAST);
                }
                self.taken = true;
            }
            Some(_) => {}
            None => self.before = funds,
        }
        let size = match (before, within) {
            (Some(false), true) => self.round.saturating_mul(4),
            (Some(false), false) => spare,
            // One is left to tell by whether these are taken.
            _ => self.first.min(spare - 1),
        };
        self.round = size.clamp(1, spare);
        self.ask(self.round);
    }

    /// Begins a round of all `spare` tokens.
    pub(crate) fn everything(&mut self, spare: usize, funds: usize) {
        if self.canary.is_none() {
            self.canary = Some(false);
            self.before = funds;
        }
        self.ask(spare);
    }

    fn ask(&mut self, workers: usize) {
        self.pending = workers;
        self.several = workers > 1;
        self.gone = false;
    }

    /// Whether several workers are asked by probes at once.
    pub(crate) fn asks_several(&self) -> bool {
        self.pending > 0 && self.several
    }

    /// Whether a worker that proves busy leaves the others to be asked.
    pub(crate) fn goes_on(&self) -> bool {
        self.pending > 0 && self.gone && self.is_wanted()
    }

    /// Nobody took the last token that went back: keep the others until `at`.
    pub(crate) fn postpone(&mut self, at: Nanos) {
        if let Some(lies) = &mut self.canary {
            *lies = true;
        }
        self.taken = false;
        self.not_before = at;
    }

    /// A token has gone back.
    pub(crate) fn gave(&mut self) {
        self.pending = self.pending.saturating_sub(1);
        self.given += 1;
        self.gone = true;
    }

    /// Every worker that was asked has answered: the next round comes at `at` or later.
    pub(crate) fn answered(&mut self, at: Nanos) {
        self.pending = 0;
        self.not_before = at;
    }

    /// The pool is active: start over.
    pub(crate) fn reset(&mut self) {
        if self.canary == Some(true) {
            self.came_back();
        }
        if self.taken {
            self.first = self.round.max(self.given);
        }
        let Release { doublings, unwanted, before, first, tried, .. } = *self;
        // Had the first round not been taken there would have been no other.
        let unknown = !self.taken && self.canary == Some(false);
        let unsure = self.unsure + if unknown { self.given } else { 0 };
        *self = Release { doublings, unwanted, before, first, tried, unsure, ..Release::default() };
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            [first(false), first(false), first(true)],
            [11, 5, 2],
            "nobody wants them any more"
        );
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
}
