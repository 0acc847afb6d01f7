//! How fast idle tokens go back: one first, then, as long as each is taken, twice as many.

use super::Nanos;

/// The pace at which idle tokens are given back.
#[derive(Debug, Default)]
pub(crate) struct Release {
    /// Size of the latest round.
    round: usize,
    /// Tokens of the latest round that are still to go.
    pending: usize,
    not_before: Nanos,
    /// Whether the workers were looked at since the pool went slack.
    surveyed: bool,
}

/// Probes of one round that lie in the injector at once. More would wake more workers than run at
/// once on a small machine, and none of them in time.
const BURST: usize = 4;

impl Release {
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// When idle tokens are to be looked at next.
    pub(crate) fn not_before(&self) -> Nanos {
        self.not_before
    }

    /// How many probes the round has room for beside `posted`.
    pub(crate) fn burst(&self, posted: usize) -> usize {
        self.pending.min(BURST).saturating_sub(posted)
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

    /// Begins a round twice as large as the one before, of at most `spare` tokens.
    pub(crate) fn next_round(&mut self, spare: usize) {
        self.round = (self.round * 2).clamp(1, spare);
        self.pending = self.round;
    }

    /// Begins a round of all `spare` tokens.
    pub(crate) fn everything(&mut self, spare: usize) {
        self.pending = spare;
    }

    /// Nobody took the last token that went back: keep the others until `at`.
    pub(crate) fn postpone(&mut self, at: Nanos) {
        self.round = 0;
        self.not_before = at;
    }

    /// A token has gone back.
    pub(crate) fn gave(&mut self) {
        self.pending = self.pending.saturating_sub(1);
    }

    /// Every worker that was asked has answered: the next round comes at `at` or later.
    pub(crate) fn answered(&mut self, at: Nanos) {
        self.pending = 0;
        self.not_before = at;
    }

    /// The pool is active: start over.
    pub(crate) fn reset(&mut self) {
        *self = Release::default();
    }
}
