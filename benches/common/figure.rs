//! A figure of a bench: a number of something, and what it may be.

/// Of the raw results: a line a figure.
pub(crate) const COLUMNS: [&str; 6] = ["bench", "figure", "value", "unit", "at_least", "at_most"];

#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) bench: String,
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) at_least: Option<f64>,
    pub(crate) at_most: Option<f64>,
}

impl Figure {
    /// The value, without digits that tell nothing.
    pub(crate) fn amount(&self) -> String {
        let digits = match self.value.abs() {
            size if size.fract() == 0.0 => 0,
            size if size < 10.0 => 3,
            size if size < 1_000.0 => 1,
            _ => 0,
        };
        format!("{:.digits$}", self.value)
    }

    /// The bound in words; nothing if there is none.
    pub(crate) fn bound(&self) -> String {
        match (self.at_least, self.at_most) {
            (None, None) => String::new(),
            (Some(least), None) => format!("at least {least}"),
            (None, Some(most)) => format!("at most {most}"),
            (Some(least), Some(most)) => format!("between {least} and {most}"),
        }
    }

    /// Whether the bound is broken. What is not even a number breaks every bound.
    pub(crate) fn is_lost(&self) -> bool {
        let enough = self.at_least.is_none_or(|least| self.value >= least);
        let little = self.at_most.is_none_or(|most| self.value <= most);
        !(enough && little)
    }
}
