//! Reads raw results.

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use crate::columns;
use crate::elsewhere;
use crate::figure::Figure;
use crate::lines::{Lines, lines};
use crate::machine::Property;
use crate::packing::{self, MEASURES, Mode, Start};
use crate::read_figures;
use crate::row::{self, Contender};
use crate::tuning::{self, Tuning};

/// The benches whose results are single figures; a test that simulates stands for the last one.
pub(crate) const BENCHES: [&str; 6] =
    ["latency", "share", "random", "blocking", "scaling", "simulation"];

/// All that was recorded together.
#[derive(Debug)]
pub(crate) struct Record {
    /// What was measured on.
    pub(crate) machine: Vec<Property>,
    /// Of the comparison.
    pub(crate) rows: Vec<row::Row>,
    /// Of the processes.
    pub(crate) packings: Vec<packing::Row>,
    /// None of a bench that was not recorded.
    pub(crate) figures: Vec<Figure>,
    /// The name of an earlier record that tells what the constants are worth in place of this one.
    pub(crate) tuned: Option<OsString>,
    /// Empty if it was not recorded.
    pub(crate) tuning: Tuning,
    /// Empty if it was not recorded.
    pub(crate) elsewhere: Vec<elsewhere::Change>,
}

impl Record {
    pub(crate) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let mut figures = Vec::new();
        for bench in BENCHES {
            figures.extend(self::figures(folder, bench)?);
        }
        let tuned = tuned(folder)?;
        let telling = tuned.as_ref().map_or(folder.to_owned(), |name| folder.with_file_name(name));
        Ok(Record {
            machine: machine(folder)?,
            rows: rows(folder)?,
            packings: packings(folder)?,
            figures,
            tuning: tuning(&telling)?,
            elsewhere: elsewhere(&telling)?,
            tuned,
        })
    }
}

/// The lines of a file that need not be there.
fn lines_if_any(folder: &Path, file: &str, columns: &[&str]) -> Result<Lines, Box<dyn Error>> {
    if folder.join(file).try_exists()? { lines(folder, file, columns) } else { Ok(Lines::new()) }
}

fn machine(folder: &Path) -> Result<Vec<Property>, Box<dyn Error>> {
    let path = folder.join("machine.csv");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let property = |line: &str| {
        let values: Vec<_> = line.split(',').map(ToOwned::to_owned).collect();
        values.try_into().map_err(|_| format!("{}: no property of a bench: {line}", path.display()))
    };
    Ok(text.lines().map(property).collect::<Result<_, _>>()?)
}

/// The rows of the comparison, in the order in which they were measured.
fn rows(folder: &Path) -> Result<Vec<row::Row>, Box<dyn Error>> {
    let mut rows: Vec<row::Row> = Vec::new();
    for line in lines(folder, "compare.csv", &row::COLUMNS)? {
        let (work, workers, tokens) = (&line[1], line[2].parse()?, line[3].parse()?);
        let same = |row: &row::Row| (&row.work, row.workers, row.tokens) == (work, workers, tokens);
        if !rows.last().is_some_and(same) {
            let (group, work) = (line[0].clone(), work.clone());
            rows.push(row::Row { group, work, workers, tokens, samples: Default::default() });
        }
        let contender = Contender::ALL.into_iter().find(|known| known.name() == line[4]);
        let contender = contender.ok_or_else(|| format!("no contender {}", line[4]))?;
        let peak = if line[8].is_empty() { None } else { Some(line[8].parse()?) };
        let sample = row::Sample { millis: line[6].parse()?, taken: line[7].parse()?, peak };
        let row = rows.last_mut().ok_or("there is one")?;
        row.samples[contender as usize].push(sample);
    }
    Ok(rows)
}

/// The rows of the processes, in the order in which they were measured.
fn packings(folder: &Path) -> Result<Vec<packing::Row>, Box<dyn Error>> {
    let columns = [&packing::COLUMNS[..], &MEASURES.map(|(name, _)| name)].concat();
    let mut rows: Vec<packing::Row> = Vec::new();
    for line in lines(folder, "processes.csv", &columns)? {
        let start = [Start::AtOnce, Start::Make].into_iter().find(|known| known.name() == line[1]);
        let row = packing::Row {
            leaf: line[0].clone(),
            start: start.ok_or_else(|| format!("no start {}", line[1]))?,
            processes: line[2].parse()?,
            tokens: line[3].parse()?,
            sizes: line[4].clone(),
            perfect: line[5].parse()?,
            fair: if line[6].is_empty() { None } else { Some(line[6].parse()?) },
            samples: Default::default(),
        };
        if rows.last().is_none_or(|last| last.name() != row.name()) {
            rows.push(row);
        }
        let mode = Mode::ALL.into_iter().find(|known| known.name() == line[7]);
        let mode = mode.ok_or_else(|| format!("no mode {}", line[7]))?;
        let numbers = line[packing::COLUMNS.len()..].iter().map(|value| value.parse::<f64>());
        let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
        let &[wall, mean, max, peak, running, waits, stops, cpu, taken] = &numbers[..] else {
            return Err("a sample has nine measures".into());
        };
        let sample = packing::Sample { wall, mean, max, peak, running, waits, stops, cpu, taken };
        let row = rows.last_mut().ok_or("there is one")?;
        row.samples[mode as usize].push(sample);
    }
    Ok(rows)
}

/// The figures of a bench, none if it was not recorded.
fn figures(folder: &Path, bench: &str) -> Result<Vec<Figure>, Box<dyn Error>> {
    let recorded = folder.join(format!("{bench}.csv")).try_exists()?;
    if recorded { read_figures::figures(folder, bench) } else { Ok(Vec::new()) }
}

/// The last record before this one that tells what the constants are worth, if this one does not.
fn tuned(folder: &Path) -> Result<Option<OsString>, Box<dyn Error>> {
    let tells = |folder: &Path| folder.join("tune.csv").is_file();
    let mut last = None;
    if !tells(folder) {
        for entry in fs::read_dir(folder.join(".."))? {
            let name = entry?.file_name();
            let before = Some(name.as_os_str()) < folder.file_name();
            if before && tells(&folder.with_file_name(&name)) {
                last = last.max(Some(name));
            }
        }
    }
    Ok(last)
}

/// The rounds with changed constants.
fn tuning(folder: &Path) -> Result<Tuning, Box<dyn Error>> {
    let mut tuning = Tuning::default();
    for line in lines_if_any(folder, "tune.csv", &columns::ROUNDS)? {
        let work = format!("{} ({}, {})", line[2], line[3], line[4]);
        let [millis, base_millis, taken] = [line[6].parse()?, line[7].parse()?, line[8].parse()?];
        let sample = tuning::Sample { millis, base_millis, taken };
        tuning.add(&line[0], &line[1], work, sample);
    }
    Ok(tuning)
}

/// Figures of other benches with changed constants.
fn elsewhere(folder: &Path) -> Result<Vec<elsewhere::Change>, Box<dyn Error>> {
    let lines = lines_if_any(folder, "tune_elsewhere.csv", &columns::ELSEWHERE)?;
    let change = |line: &Vec<String>| -> Result<elsewhere::Change, Box<dyn Error>> {
        Ok(elsewhere::Change {
            knob: line[0].clone(),
            factor: line[1].parse()?,
            bench: line[2].clone(),
            figure: line[3].clone(),
            value: line[5].parse()?,
            unit: line[6].clone(),
        })
    };
    lines.iter().map(change).collect()
}
