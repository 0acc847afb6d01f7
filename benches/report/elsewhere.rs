//! What the policy's constants are worth to figures of other benches.

/// Of the raw results: a line a figure.
pub(crate) const COLUMNS: [&str; 6] = ["knob", "factor", "bench", "figure", "value", "unit"];

/// Of the table.
pub(crate) const HEAD: [&str; 6] =
    ["constant", "figure", "at half", "as it is", "at twice", "unit"];

/// The knob of the figures for which nothing was changed.
const UNTOUCHED: &str = "none";

/// One figure with one constant changed by one factor, or with none.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) knob: String,
    pub(crate) factor: f64,
    pub(crate) bench: String,
    pub(crate) figure: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

/// A line for each figure and each constant that has a part in it.
pub(crate) fn lines(changes: &[Change]) -> Vec<Vec<String>> {
    let halved = changes.iter().filter(|change| change.factor < 1.0);
    let line = |half: &Change| {
        let value = |knob: &str, factor: f64| {
            let same = |other: &&Change| {
                (&other.bench, &other.figure) == (&half.bench, &half.figure)
                    && other.knob == knob
                    && other.factor == factor
            };
            changes.iter().find(same).map_or(String::new(), |change| amount(change.value))
        };
        vec![
            half.knob.clone(),
            half.figure.clone(),
            amount(half.value),
            value(UNTOUCHED, 1.0),
            value(&half.knob, 2.0),
            half.unit.clone(),
        ]
    };
    halved.map(line).collect()
}

fn amount(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.3}") } else { format!("{value:.1}") }
}
