//! Raw results as lines of values between commas. No value has a comma in it.

use std::fs;
use std::io;
use std::path::Path;

/// Lines to be written to a file once everything has been measured.
#[derive(Debug)]
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        Table(columns.join(",") + "\n")
    }

    pub(crate) fn line(&mut self, values: &[String]) {
        assert!(values.iter().all(|value| !value.contains([',', '\n'])), "{values:?}");
        self.0 += &(values.join(",") + "\n");
    }

    pub(crate) fn write(&self, folder: &Path, file: &str) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(file), &self.0)
    }
}
