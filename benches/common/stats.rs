//! Medians and quartiles.

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
