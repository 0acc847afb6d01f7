//! What figures are computed from: each value is a line of the record, too.

use crate::figures::Figures;

impl Figures {
    /// Keeps all values of what figures whose names begin so tell of, in the order in which they were measured.
    pub(crate) fn keep(&mut self, figure: &str, values: impl IntoIterator<Item = f64>) {
        let values = values.into_iter().zip(1..);
        let lines = values.map(|(value, trial): (f64, u32)| {
            [figure.to_owned(), trial.to_string(), format!("{value:.4}")]
        });
        self.raw.extend(lines);
    }
}
