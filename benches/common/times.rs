//! The times of repeated trials.

use std::time::Duration;

/// Sorted.
#[derive(Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        Times(times)
    }

    /// Milliseconds that half of the trials do not exceed.
    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// Milliseconds that this part of the trials does not exceed; NaN if there are none.
    pub(crate) fn at(&self, part: f64) -> f64 {
        let count = (part * self.0.len() as f64).ceil() as usize;
        let last = self.0.get(count.saturating_sub(1));
        last.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    pub(crate) fn worst(&self) -> f64 {
        self.at(1.0)
    }
}
