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
mod tests;
