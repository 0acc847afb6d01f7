//! A pool of which nobody runs, since all wait for others or in the program, forgoes its last fund.
//!
//! Those that wait go on by themselves or are looked after now and then, and so is the pool: it takes the fund again
//! to look.

use super::{Nanos, Policy};
use crate::jobserver::Market;

/// What becomes of the fund.
#[derive(Debug, Default)]
pub(super) struct Forgone {
    /// It was given up, and is not wanted until the pool presses for one.
    out: bool,
    /// Nobody took the last one: not again before this, and how long that is.
    not_before: Nanos,
    pause: Nanos,
}

impl Forgone {
    pub(super) fn is_out(&self) -> bool {
        self.out
    }

    pub(super) fn goes(&mut self) {
        self.out = true;
    }

    /// The pool has a fund.
    pub(super) fn is_back(&mut self) {
        self.out = false;
    }

    /// Something has happened since.
    pub(super) fn forget(&mut self) {
        (self.not_before, self.pause) = (0, 0);
    }

    /// Whoever wanted it has taken it by now, or nobody did. The next pause is between `least` and `most`.
    fn missed(&mut self, now: Nanos, taken: bool, (least, most): (Nanos, Nanos)) {
        if self.out {
            self.pause = if taken { 0 } else { (2 * self.pause).clamp(least, most) };
            self.not_before = now + self.pause;
        }
    }
}

impl Policy {
    /// Whether some wait, for others or in the program, and one keeps watch for them. Not where one blocks without a
    /// word: it may run at any moment, on this fund. Nor where a thread calls and has nobody run anything, that
    /// of an `in_place_scope`, say, which itself runs on it.
    pub(super) fn only_waits(&self) -> bool {
        let some_wait = self.waiting || self.roster.any_nested() || self.absences.any();
        some_wait && !self.absences.any_astray() && self.keeps_watch() && !self.anchored
    }

    /// Whether that has been so for long, and somebody else could run on the fund. As long as the pool holds
    /// a token nothing tells whether another process waits for one, other than giving it up.
    pub(super) fn forgoes(&self, now: Nanos, market: Market) -> bool {
        self.only_waits()
            && now >= self.slack_since + self.knobs.hold
            && market.wants_the_last()
            && (market.rival || now >= self.forgone.not_before)
    }

    /// A pool without a fund looks after itself before long.
    pub(super) fn press(&mut self, now: Nanos, market: Market) {
        if !self.pressing && now >= self.press_at {
            self.pressing = true;
            let bounds = (self.knobs.hold, self.knobs.rarest(false));
            self.forgone.missed(now, market.lying == 0, bounds);
        }
    }
}
