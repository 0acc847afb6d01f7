//! What a governor's thread that sleeps is told when its next deadline moves.

use super::Nanos;

/// What it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// Nothing: it wakes in time, or once for nothing.
    Nothing,
    /// To sleep until another instant, where its timer can be set anew while it sleeps.
    Reset,
    /// To wake, and look itself.
    Wake,
}

/// An alarm that would go off sooner than this, and for nothing, is worth the system call that puts
/// it off.
const SOON: Nanos = 100_000;

impl Notice {
    /// For a thread that means to sleep `until` then; `timer` says whether that can be set anew, and `put_off` whether
    /// it was [ordered](super::Orders::put_off) to be.
    pub(crate) fn of(
        now: Nanos,
        until: Nanos,
        deadline: Option<Nanos>,
        timer: bool,
        put_off: bool,
    ) -> Notice {
        let at = deadline.unwrap_or(Nanos::MAX);
        let earlier = at < until;
        let in_vain = at > until && (put_off || until < now + SOON);
        match timer {
            true if earlier || in_vain => Notice::Reset,
            false if earlier => Notice::Wake,
            _ => Notice::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(until: Nanos, deadline: Option<Nanos>, timer: bool) -> Notice {
        Notice::of(0, until, deadline, timer, false)
    }

    #[test]
    fn a_timer_is_set_anew_for_what_comes_earlier() {
        assert_eq!(of(1_000_000, Some(999_999), true), Notice::Reset);
        assert_eq!(of(Nanos::MAX, Some(999_999), true), Notice::Reset);
    }

    #[test]
    fn a_timer_is_put_off_only_if_it_would_go_off_soon_and_for_nothing() {
        assert_eq!(of(SOON - 1, None, true), Notice::Reset);
        assert_eq!(of(SOON - 1, Some(SOON), true), Notice::Reset);
        assert_eq!(of(SOON - 1, Some(SOON - 1), true), Notice::Nothing);
        assert_eq!(of(SOON, None, true), Notice::Nothing);
    }

    #[test]
    fn a_timer_is_put_off_as_ordered_but_nobody_is_woken_for_that() {
        assert_eq!(Notice::of(0, 9 * SOON, Some(10 * SOON), true, true), Notice::Reset);
        assert_eq!(Notice::of(0, 9 * SOON, Some(9 * SOON), true, true), Notice::Nothing);
        assert_eq!(Notice::of(0, 9 * SOON, Some(10 * SOON), false, true), Notice::Nothing);
    }

    #[test]
    fn without_a_timer_the_thread_wakes_for_what_comes_earlier_and_for_nothing_else() {
        assert_eq!(of(1_000_000, Some(999_999), false), Notice::Wake);
        assert_eq!(of(SOON - 1, None, false), Notice::Nothing);
        assert_eq!(of(SOON - 1, Some(SOON - 1), false), Notice::Nothing);
    }
}
