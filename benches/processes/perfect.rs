//! Perfect packing: what no schedule can beat, though it knew what is to come.

use std::collections::HashSet;
use std::time::Duration;

use crate::leaf::Leaf;
use crate::phases::Phases;

/// What the best schedule takes, or less. Each process has its own slot, which is of no use to others.
///
/// Computing jobs are stopped and go on as the cores are shared: they cannot take less than the longest of them
/// alone, or all the work evenly on the `cores`. Jobs that sleep are not stopped and have cores enough; of two such
/// processes the best schedule itself is found.
pub(crate) fn bound(all: &[Phases], tokens: usize, cores: usize) -> Duration {
    let longest = all.iter().map(|phases| phases.path(cores.min(tokens + 1)));
    let mut largest = all.to_vec();
    largest.sort_unstable_by_key(|phases| std::cmp::Reverse(phases.work()));
    let packed = (1..=all.len()).map(|several| even(&largest[..several], tokens, cores));
    let least = longest.chain(packed).max().unwrap_or_default();
    match all {
        &[one, other] if one.leaf == Leaf::Sleep => least.max(best([one, other], tokens)),
        _ => least,
    }
}

/// The same of processes that begin as any of the `slots` is free: each slot is of use to all of them. Jobs that
/// sleep have cores enough.
pub(crate) fn bound_by_make(all: &[Phases], slots: usize, cores: usize) -> Duration {
    let cores = cores.min(slots);
    let work: Duration = all.iter().map(|phases| phases.work()).sum();
    let longest = all.iter().map(|phases| phases.path(cores)).max().unwrap_or_default();
    longest.max(work / cores as u32)
}

/// What these processes alone would take if all their work were divided evenly, but for their first serial
/// phases: until such a one has ended its process runs one job.
fn even(all: &[Phases], tokens: usize, cores: usize) -> Duration {
    let mut starts: Vec<Duration> = all.iter().map(|phases| phases.serial).collect();
    starts.sort_unstable();
    let mut left: Duration = all.iter().map(|phases| phases.work()).sum();
    let mut now = Duration::ZERO;
    for (wide, start) in starts.into_iter().enumerate() {
        let slots = (tokens + all.len()).min(wide * (tokens + 1) + all.len() - wide).min(cores);
        let done = (start - now) * slots as u32;
        if done >= left {
            return now + left / slots as u32;
        }
        left -= done;
        now = start;
    }
    now + left / (tokens + all.len()).min(cores) as u32
}

/// Where a process stands, in multiples of the time of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Stand {
    /// Rounds that have not ended.
    rounds: u32,
    /// What is left of this one.
    serial: u32,
    leaves: u32,
}

impl Stand {
    fn begin(phases: Phases, rounds: u32) -> Self {
        let serial = phases.serial.div_duration_f64(phases.time);
        assert!(serial.fract() == 0.0, "leaves of {:?} are no unit: {phases:?}", phases.time);
        Stand { rounds, serial: serial as u32, leaves: phases.leaves }
    }

    /// How many jobs it could have at once beside its first.
    fn more(self) -> u32 {
        if self.serial > 0 { 0 } else { self.leaves.saturating_sub(1) }
    }

    /// After a unit of time with so many tokens.
    fn after(mut self, tokens: u32, phases: Phases) -> Self {
        if self.serial > 0 {
            self.serial -= 1;
            return self;
        }
        self.leaves = self.leaves.saturating_sub(1 + tokens);
        if self.leaves == 0 && self.rounds > 1 {
            return Self::begin(phases, self.rounds - 1);
        }
        self
    }
}

/// What two processes take in the best schedule there is.
///
/// In one of the best all jobs begin at multiples of the time of a leaf: were each to begin at the last multiple
/// before it does, whatever it waits for would have ended, and no more would run at once. And no slot stays free
/// that is of use. So it is enough to go through all divisions of the tokens in each unit of time.
fn best(pair: [Phases; 2], tokens: usize) -> Duration {
    let [one, other] = pair;
    assert_eq!(one.time, other.time, "leaves of one length are the unit of time");
    let tokens = u32::try_from(tokens).expect("a small budget");
    let mut reached = HashSet::from([pair.map(|phases| Stand::begin(phases, phases.rounds))]);
    let over = |stand: &Stand| stand.leaves == 0 && stand.serial == 0;
    let mut units = 0;
    while !reached.iter().any(|stands| stands.iter().all(over)) {
        let mut next = HashSet::new();
        for [first, second] in reached {
            for given in 0..=tokens.min(first.more()) {
                let rest = (tokens - given).min(second.more());
                next.insert([first.after(given, one), second.after(rest, other)]);
            }
        }
        reached = next;
        units += 1;
    }
    one.time * units
}
