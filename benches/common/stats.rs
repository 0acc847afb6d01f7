//! Medians, quartiles and geometric means.

/// A quarter of the values lies below the first, half of them below the second, and so on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quartiles(pub(crate) [f64; 3]);

impl Quartiles {
    /// The quartiles of some values, between neighbours where they fall there; NaN of none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        Quartiles([0.25, 0.5, 0.75].map(|part| {
            let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
            let place = part * last as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        }))
    }

    /// The value in the middle.
    pub(crate) fn median(self) -> f64 {
        self.0[1]
    }
}

/// The mean of ratios: twice as fast and half as fast cancel out. NaN of none.
pub(crate) fn geometric_mean(ratios: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = ratios
        .into_iter()
        .fold((0.0, 0.0), |(sum, count), ratio| (sum + f64::ln(ratio), count + 1.0));
    f64::exp(sum / count)
}
