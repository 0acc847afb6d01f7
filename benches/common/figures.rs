//! All figures of one bench: printed as they are noted, and recorded in the end.

use std::io;
use std::ops::{Bound, RangeBounds};

use crate::args::Options;
use crate::csv::Table;
use crate::figure::{COLUMNS, Figure};

/// Each bench is a crate of its own.
const BENCH: &str = env!("CARGO_CRATE_NAME");

#[derive(Debug)]
pub(crate) struct Figures {
    /// Filled as they are noted: a name that no record can hold is found out by a run without one, too.
    table: Table,
    /// What they are computed from: of which figure, the number of the trial, and its value.
    pub(crate) raw: Vec<[String; 3]>,
}

impl Default for Figures {
    fn default() -> Self {
        Figures { table: Table::new(&COLUMNS), raw: Vec::new() }
    }
}

impl Figures {
    /// Prints a figure, and keeps it for the record. Its bound is a range, of which the ends belong
    /// to it; `..` is none.
    pub(crate) fn note(
        &mut self,
        name: impl Into<String>,
        value: f64,
        unit: &str,
        bound: impl RangeBounds<f64>,
    ) {
        let figure = Figure {
            bench: BENCH.to_owned(),
            name: name.into(),
            value,
            unit: unit.to_owned(),
            at_least: end(bound.start_bound()),
            at_most: end(bound.end_bound()),
        };
        let lost = if figure.is_lost() { " LOST" } else { "" };
        let (amount, bound) = (figure.amount(), figure.bound());
        println!("{:64} {amount:>9} {unit:9} {bound}{lost}", figure.name);
        let end = |end: Option<f64>| end.map_or(String::new(), |end| end.to_string());
        self.table.line(&[
            figure.bench,
            figure.name,
            figure.value.to_string(),
            figure.unit,
            end(figure.at_least),
            end(figure.at_most),
        ]);
    }

    /// Writes `<bench>.csv`, and `<bench>_raw.csv` if raw values were kept, into the folder of the record,
    /// if there is to be one.
    pub(crate) fn record(&self, options: &Options) -> io::Result<()> {
        let Some(folder) = options.record() else { return Ok(()) };
        self.table.write(folder, &format!("{BENCH}.csv"))?;
        if self.raw.is_empty() {
            return Ok(());
        }
        let mut table = Table::new(&["figure", "trial", "value"]);
        self.raw.iter().for_each(|line| table.line(line));
        table.write(folder, &format!("{BENCH}_raw.csv"))
    }
}

fn end(bound: Bound<&f64>) -> Option<f64> {
    match bound {
        Bound::Included(&end) | Bound::Excluded(&end) => Some(end),
        Bound::Unbounded => None,
    }
}
