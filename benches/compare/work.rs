//! The work that is measured, as plain data. `parallel.rs` runs it.

use std::time::Duration;

use crate::jobs::Jobs;
use crate::leaf::Leaf;

/// Calls a section within a pool, from outside of it.
pub(crate) type Enter<'a> = &'a (dyn Fn(&(dyn Fn() + Sync)) + Sync);

/// Where one run takes place.
pub(crate) struct Scene<'a> {
    /// How many jobs may run at once.
    pub(crate) width: usize,
    pub(crate) jobs: &'a Jobs,
    pub(crate) enter: Enter<'a>,
    /// Called after a quarter of `Kind::Growing`.
    pub(crate) grow: &'a (dyn Fn() + Sync),
}

#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) kind: Kind,
    pub(crate) leaf: Leaf,
}

/// Times are those of a single job. Where jobs are counted, it is for each of the width.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Recursive joins, each entered from outside.
    Join { sections: usize, leaves: usize, time: Duration },
    /// A parallel sort of this many numbers.
    Sort { numbers: usize },
    /// A parallel sum over this many numbers, so many times.
    Reduce { numbers: usize, times: usize },
    /// Short sections of a job for each of the width, entered from outside, and in between the
    /// outside's own serial work.
    Sections { sections: usize, time: Duration, gap: Duration },
    /// Serial and wide phases in turn, all within one call.
    Phases { phases: usize, serial: Duration, leaves: usize, time: Duration },
    /// One long job beside a wide phase.
    Tail { tail: Duration, leaves: usize, time: Duration },
    /// Scopes, each of which spawns jobs that spawn jobs.
    Scopes { scopes: usize, spawns: usize, time: Duration },
    /// A job for every worker, be it parked or not, so many times.
    Broadcasts { times: usize, time: Duration },
    /// Reads and hashes sources.
    Hash,
    /// Reads and parses sources.
    Parse,
    /// Nothing for a while, then one section, which alone is measured.
    Idle { pause: Duration, leaves: usize, time: Duration },
    /// A wide phase whose tokens come only when a quarter is done.
    Growing { leaves: usize, time: Duration },
    /// What a run begins with unmeasured.
    Awake,
}

impl Kind {
    pub(crate) fn group(&self) -> &'static str {
        match self {
            Kind::Join { .. } => "join",
            Kind::Sort { .. } => "sort",
            Kind::Reduce { .. } => "reduce",
            Kind::Sections { .. } => "sections",
            Kind::Phases { .. } => "phases",
            Kind::Tail { .. } => "tail",
            Kind::Scopes { .. } => "scopes",
            Kind::Broadcasts { .. } => "broadcasts",
            Kind::Hash | Kind::Parse => "real",
            Kind::Idle { .. } => "idle",
            Kind::Growing { .. } => "growing",
            Kind::Awake => "awake",
        }
    }
}

impl Work {
    /// What runs before it and is not measured.
    ///
    /// Ours as the global pool, which is told of no call, looks every 18.5 ms after a long pause whether it
    /// has been called. What a pause is worth the rows of idle times show; the turns of other contenders make
    /// longer ones, which a program would not, and would hide everything else. So each run begins with
    /// the pool awake, and the machine too; idle times do so as well. Work on much memory begins with its
    /// own caches.
    pub(crate) fn before(&self) -> Option<Work> {
        match self.kind {
            Kind::Growing { .. } => None,
            Kind::Sort { .. } | Kind::Reduce { .. } | Kind::Hash | Kind::Parse => {
                Some(self.clone())
            }
            _ => Some(Work { kind: Kind::Awake, leaf: self.leaf }),
        }
    }

    pub(crate) fn name(&self) -> String {
        let kind = match &self.kind {
            Kind::Join { sections, leaves, time } => {
                let size = *time * *leaves as u32;
                format!("{sections} x join of {} ms", millis(size))
            }
            Kind::Sort { numbers } => return format!("sort of {numbers} numbers"),
            Kind::Reduce { numbers, times } => {
                return format!("{times} x sum of {numbers} numbers");
            }
            Kind::Sections { sections, time, gap } if gap.is_zero() => {
                format!("{sections} x section of {time:?}")
            }
            Kind::Sections { sections, time, gap } => {
                format!("{sections} x section of {time:?} + gap of {gap:?}")
            }
            Kind::Phases { phases, serial, leaves, time } => {
                format!("{phases} x {serial:?} serial + {leaves} x {time:?} wide")
            }
            Kind::Tail { tail, leaves, time } => {
                format!("{tail:?} tail beside {leaves} x {time:?}")
            }
            Kind::Scopes { scopes, spawns, time } => {
                format!("{scopes} x scope of {spawns} x {time:?}")
            }
            Kind::Broadcasts { times, time } => format!("{times} x broadcast of {time:?}"),
            Kind::Hash => return "hash of sources (sha2)".to_owned(),
            Kind::Parse => return "parse of sources (syn)".to_owned(),
            Kind::Idle { pause, leaves, time } => {
                format!("{} ms section after {pause:?} idle", millis(*time * *leaves as u32))
            }
            Kind::Growing { leaves, time } => {
                format!("{leaves} x {time:?}; 1 token and all after a quarter")
            }
            Kind::Awake => "unmeasured".to_owned(),
        };
        format!("{kind} {}", self.leaf.name())
    }
}

/// Without digits that say nothing: leaves are cut to whole microseconds.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}
