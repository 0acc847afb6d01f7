//! The times of repeated trials.

use std::time::Duration;

use crate::stats::{Quartiles, quantile};

/// Milliseconds, in the order in which they were measured.
#[derive(Debug)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        Times(times.into_iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    pub(crate) fn millis(&self) -> impl Iterator<Item = f64> {
        self.0.iter().copied()
    }

    /// Milliseconds that half of the trials do not exceed.
    pub(crate) fn median(&self) -> f64 {
        Quartiles::of(self.millis()).median()
    }

    /// Milliseconds that this part of the trials does not exceed; NaN if there are none.
    pub(crate) fn at(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        quantile(&sorted, part)
    }

    pub(crate) fn worst(&self) -> f64 {
        self.at(1.0)
    }
}
