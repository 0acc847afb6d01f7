//! Medians, quartiles and other quantiles.

/// A quarter of the values lies below the first, half of them below the second, and so on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles(pub(crate) [f64; 3]);

impl Quartiles {
    /// The quartiles of some values; NaN of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        Quartiles([0.25, 0.5, 0.75].map(|part| quantile(&values, part)))
    }

    /// The value in the middle.
    pub(crate) fn median(self) -> f64 {
        self.0[1]
    }
}

/// The value below which this part of the sorted ones lies, between neighbours where it falls there; NaN of none.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = part * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}
