//! How many jobs ran at once: a sweep line over the stamps of a trace.

use std::error::Error;
use std::fs;
use std::path::Path;

/// What ran between the first start and the last end of some jobs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overlap {
    /// Number of jobs.
    pub(crate) jobs: usize,
    /// The most that ran at once.
    pub(crate) most: usize,
    /// How many ran at once on average.
    pub(crate) mean: f64,
    /// Seconds from the first start to the last end.
    pub(crate) seconds: f64,
}

/// One stamp: nanoseconds, start or end, and the process it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    nanos: u64,
    // Ordered before a start of the same nanosecond: what ended then made room for what started.
    is_start: bool,
    process: u32,
}

/// Reads the stamps of a trace, in the order of time.
pub(crate) fn read(file: &Path) -> Result<Vec<Stamp>, Box<dyn Error>> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let stamps = text.lines().map(|line| parse(line).ok_or_else(|| format!("no stamp: {line:?}")));
    let mut stamps = stamps.collect::<Result<Vec<_>, _>>()?;
    stamps.sort_unstable();
    Ok(stamps)
}

fn parse(line: &str) -> Option<Stamp> {
    let mut words = line.split(' ');
    let is_start = match words.next()? {
        "start" => true,
        "end" => false,
        _ => return None,
    };
    let nanos = words.next()?.parse().ok()?;
    let process = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Stamp { nanos, is_start, process })
}

/// Sweeps over stamps that are in the order of time.
pub(crate) fn sweep(stamps: impl IntoIterator<Item = Stamp>) -> Overlap {
    let mut overlap = Overlap::default();
    let (mut running, mut area, mut first, mut last) = (0_usize, 0_u64, None, 0_u64);
    for stamp in stamps {
        let since = stamp.nanos
            - *first.get_or_insert_with(|| {
                last = stamp.nanos;
                stamp.nanos
            });
        area += (stamp.nanos - last) * running as u64;
        last = stamp.nanos;
        overlap.seconds = since as f64 / 1e9;
        if stamp.is_start {
            running += 1;
            overlap.jobs += 1;
            overlap.most = overlap.most.max(running);
        } else {
            running -= 1;
        }
    }
    overlap.mean = if overlap.seconds > 0.0 { area as f64 / 1e9 / overlap.seconds } else { 0.0 };
    overlap
}
