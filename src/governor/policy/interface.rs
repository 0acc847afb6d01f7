//! What goes into the policy and what comes out: plain data.

/// What a worker in the gate is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// Go back to rayon, funded.
    Stay,
    /// Block until woken; the worker's fund is no longer its own.
    Park,
}

/// Why a parked worker is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// It is admitted: go back to rayon.
    Work,
    /// Nobody funds it, and it goes on all the same.
    Loose,
    /// It is admitted to run what lies in its own queues, then to report.
    Turn,
    /// The pool has ended: go back to rayon and leave.
    Leave,
}

/// How busy a worker was since it was last seen: in a probe, in a survey, or when it was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It ran for a good part of that time: a probe between two short jobs does not make it idle.
    Active,
    /// It hardly ran, and slept as often as one whose jobs wait.
    Slept,
    /// It hardly ran.
    Quiet,
    /// It was last seen too long ago to tell. The next probe will.
    Unknown,
}

/// A worker that took a probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) worker: usize,
    /// Whether it waits for a latch of its own. A hint: only priorities depend on it.
    pub(crate) nested: bool,
    /// Whether it has come to the probe by another way than to the one before: a wait has begun or ended.
    pub(crate) moved: bool,
    pub(crate) judged: Judged,
    /// Whether it took the probe long after it was posted, though it did not wait for a core: then it
    /// was in a job, which slept.
    pub(crate) late: bool,
}

/// Whether a pool's only admitted worker has run since the last beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// Most of the time.
    Busy,
    Yes,
    No,
    /// Too soon to tell after a probe, which itself makes the worker run: it has just fallen asleep, or not
    /// even that.
    Unsettled,
    /// It sleeps in a job which waits, and which it has taken up since it was last seen asleep.
    Waits,
    /// This system does not tell.
    Unknown,
}

/// Whether a worker that should run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stillness {
    /// It has run since the last look, or has had a core twice since the last probe was posted.
    Runs,
    /// It has not, for want of a core.
    Starves,
    /// It has run since the last look, but not for long, and sleeps.
    Dozes,
    /// It sleeps, but not for long enough.
    Sleeps,
    /// It has slept all the time that makes it count as blocked.
    Blocked,
}

/// What the driver is to do after an event, in any order: take and survey before the next one, the rest as soon
/// as others can have their events, too.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) wake: Vec<(usize, Wake)>,
    /// Take these without waiting, and answer with [`Policy::supplied`].
    pub(crate) take: Take,
    /// Give this many funds back.
    pub(crate) give: usize,
    /// Post this many probes.
    pub(crate) posts: usize,
    /// Summon every worker, by a job in the queue of each, to offer what funds it: whoever comes is
    /// to tell by [`Policy::summoned`].
    pub(crate) summon: bool,
    /// See the [sample](Policy::sample) as it is now: the next probes are judged by what they do from
    /// here on.
    pub(crate) survey: bool,
    /// Have an alarm that was set for an earlier deadline put off to the present one: that saves a wake-up.
    pub(crate) put_off: bool,
}

/// Funds to be taken, as far as they are to be had, and what for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Take {
    pub(crate) funds: usize,
    /// For workers like those that were of use before: they are admitted at once.
    pub(crate) resuming: bool,
    /// For one more worker of a pool that is not saturated.
    pub(crate) exploring: bool,
}

/// Counters for whoever looks; no decision depends on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) admissions: u64,
    pub(crate) retirements: u64,
    pub(crate) handovers: u64,
    pub(crate) turns: u64,
    pub(crate) offers: u64,
    pub(crate) probes: u64,
    pub(crate) failed_trials: u64,
    pub(crate) peak: usize,
    pub(crate) absences: u64,
    pub(crate) lendings: u64,
    /// Of the overcommits, those of workers that had waited for a fund in vain.
    pub(crate) loosened: u64,
    pub(crate) overcommits: u64,
}
