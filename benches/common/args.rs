//! The arguments that the benches share.

use std::path::{Path, PathBuf};

use lexopt::Arg::{Long, Value};
use lexopt::ValueExt;

/// What to run, and where the raw results go.
#[derive(Debug)]
pub(crate) struct Options {
    /// Every row, with too few rounds to tell much: does it all run?
    pub(crate) quick: bool,
    /// The folder that gets the raw results; without one they are only printed.
    record: Option<PathBuf>,
    /// Only rows whose name contains one of these; none is all of them.
    filters: Vec<String>,
}

impl Options {
    /// Reads `[--quick] [--record FOLDER] [FILTER...]`.
    pub(crate) fn parse() -> Result<Self, lexopt::Error> {
        let mut options = Options { quick: false, record: None, filters: Vec::new() };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("quick") => options.quick = true,
                Long("record") => options.record = Some(parser.value()?.into()),
                Long("bench") => {} // cargo says this to every bench
                Value(filter) => options.filters.push(filter.parse()?),
                other => return Err(other.unexpected()),
            }
        }
        Ok(options)
    }

    /// Whether the row of this name is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }

    /// Where raw results go.
    pub(crate) fn record(&self) -> Option<&Path> {
        self.record.as_deref()
    }
}
