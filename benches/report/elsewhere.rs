//! What the policy's constants are worth to figures of other benches.

use crate::columns::NONE;
use crate::stats::Quartiles;

/// Of the table.
pub(crate) const HEAD: [&str; 6] =
    ["constant", "figure", "at half", "as it is", "at twice", "unit"];

/// One figure with one constant changed by one factor, or with none, in one round.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) knob: String,
    pub(crate) factor: f64,
    pub(crate) bench: String,
    pub(crate) figure: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}

/// A line for each figure and each constant that has a part in it: medians of the rounds.
pub(crate) fn lines(changes: &[Change]) -> Vec<Vec<String>> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    for change in changes.iter().filter(|change| change.knob != NONE) {
        let value = |knob: &str, factor: f64| {
            let same = |other: &&Change| {
                (&other.bench, &other.figure) == (&change.bench, &change.figure)
                    && other.knob == knob
                    && other.factor == factor
            };
            let values = changes.iter().filter(same).map(|other| other.value);
            amount(Quartiles::of(values).median())
        };
        let line = vec![
            change.knob.clone(),
            change.figure.clone(),
            value(&change.knob, 0.5),
            value(NONE, 1.0),
            value(&change.knob, 2.0),
            change.unit.clone(),
        ];
        // There is one of each factor and round.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn amount(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.3}") } else { format!("{value:.1}") }
}
