//! When jobs began and ended, on a clock that all processes of the machine share.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Collects the stamps of one process's jobs, and appends them to a file in the end: lines of
/// `start|end NANOSECONDS PROCESS`.
#[derive(Debug)]
pub(crate) struct Trace {
    file: Option<PathBuf>,
    jobs: Mutex<Vec<(u64, u64)>>,
}

impl Trace {
    /// A trace to be appended to `file`; without one, nothing is collected.
    pub(crate) fn new(file: Option<PathBuf>) -> Self {
        Trace { file, jobs: Mutex::new(Vec::new()) }
    }

    /// Runs a job: a piece of work that waits for no other.
    pub(crate) fn job<R>(&self, work: impl FnOnce() -> R) -> R {
        if self.file.is_none() {
            return work();
        }
        let start = now();
        let result = work();
        let end = now();
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push((start, end));
        result
    }

    /// Appends what was collected to the file, in one write so that processes may share it.
    pub(crate) fn finish(self) -> io::Result<()> {
        let Some(file) = self.file else { return Ok(()) };
        let process = std::process::id();
        let mut lines = String::new();
        for (start, end) in self.jobs.into_inner().unwrap_or_else(PoisonError::into_inner) {
            writeln!(lines, "start {start} {process}\nend {end} {process}")
                .expect("a string takes whatever is written to it");
        }
        OpenOptions::new().append(true).create(true).open(file)?.write_all(lines.as_bytes())
    }
}

/// Nanoseconds since a moment that is the same for all processes.
#[cfg(unix)]
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let [seconds, rest] = [time.tv_sec, time.tv_nsec].map(|part| part.try_into().unwrap_or(0_u64));
    seconds * 1_000_000_000 + rest
}

/// Nanoseconds since a moment that is the same for all processes.
///
/// Subtle: this clock may be set while we run, but the standard library has no other that two
/// processes could compare.
#[cfg(not(unix))]
fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
