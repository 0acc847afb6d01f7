//! Writes BENCHMARKS.md, and the plots it shows, from raw results.
//!
//! `cargo bench --bench report -- [FOLDER] [--out FILE]` reads `compare.csv`, `processes.csv` and
//! `machine.csv` of a record (the last under `benches/record`), and what it has of the other benches.
//! It measures nothing itself, so what the page says and shows can be changed without measuring again.

#[path = "../tune/columns.rs"]
mod columns;
mod elsewhere;
#[path = "../common/figure.rs"]
mod figure;
#[path = "../common/lines.rs"]
mod lines;
mod machine;
mod method;
#[path = "../common/packing.rs"]
mod packing;
mod plots;
mod read;
#[path = "../common/read_figures.rs"]
mod read_figures;
#[path = "../common/row.rs"]
mod row;
#[path = "../common/stats.rs"]
mod stats;
mod tables;
mod tuning;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use lexopt::Arg::{Long, Value};
use read::Record;

const RECORDS: &str = "benches/record";

fn main() -> Result<(), Box<dyn Error>> {
    let (mut folder, mut out) = (None, PathBuf::from("BENCHMARKS.md"));
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("out") => out = parser.value()?.into(),
            Long("bench") => {} // cargo says this to every bench
            Value(value) => folder = Some(PathBuf::from(value)),
            other => return Err(other.unexpected().into()),
        }
    }
    let Some(folder) = folder.or_else(latest) else {
        println!("nothing has been recorded in {RECORDS}");
        return Ok(());
    };
    let record = Record::read(&folder)?;
    let drawn = plots::draw(&folder, &record.rows, &record.packings)?;
    // Relative to the page, if it can be.
    let link = out.parent().and_then(|parent| folder.strip_prefix(parent).ok()).unwrap_or(&folder);
    let link = if link.as_os_str().is_empty() { Path::new(".") } else { link };
    fs::write(&out, method::page(link, &record, &drawn))?;
    println!("{} from {}", out.display(), folder.display());
    Ok(())
}

/// The record whose name, a date, comes last.
fn latest() -> Option<PathBuf> {
    let folders = fs::read_dir(Path::new(RECORDS)).ok()?;
    folders.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).max()
}
