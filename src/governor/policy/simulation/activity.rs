//! What the gate makes of a worker that takes a probe: how busy it was, and whether it waits.

use super::Nanos;
use super::worker::Worker;
use crate::governor::policy::Judged;

/// What a worker had used up when it was last seen in a probe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) at: Nanos,
    pub(super) cpu: Nanos,
    /// Known to the worker itself alone.
    pub(super) sleeps: Option<u64>,
}

/// What the gate makes of the depth of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hints {
    Right,
    /// It could not be measured: everybody seems to wait for a latch.
    Nested,
    Top,
    Random,
}

/// A worker that takes one probe right after another has done nothing else since: what it ran for
/// the first would pass for a job.
const MOMENT: Nanos = 50_000;

/// As `gate::activity`.
fn judge(now: Usage, earlier: Option<Usage>) -> Judged {
    const FRESH: Nanos = 2_000_000;
    const PROBE_COST: Nanos = 200_000;
    let Some(earlier) = earlier else { return Judged::Unknown };
    let elapsed = now.at - earlier.at;
    let ran = now.cpu - earlier.cpu;
    let sleeps = now.sleeps.zip(earlier.sleeps).map_or(0, |(now, then)| now - then);
    let busy = ran * 5 > elapsed || sleeps > 4;
    match busy {
        true if elapsed <= FRESH => Judged::Active,
        false if elapsed <= FRESH || ran <= PROBE_COST => Judged::Quiet,
        _ => Judged::Unknown,
    }
}

impl Worker {
    /// As `Seat::judge_self`.
    pub(super) fn judge(&mut self, now: Nanos) -> Judged {
        let usage = self.usage(now, true);
        let judged = match self.judged {
            Some((seen, judged)) if now - seen < MOMENT => judged,
            _ => judge(usage, self.seen.replace(usage)),
        };
        self.judged = Some((now, judged));
        judged
    }
}
