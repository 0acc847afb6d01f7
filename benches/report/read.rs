//! Reads raw results.

use std::error::Error;
use std::fs;
use std::path::Path;

use crate::packing::{self, MEASURES, Mode};
use crate::row::{self, Contender};

type Lines = Vec<Vec<String>>;

/// The lines of a file, which must have these columns.
fn lines(folder: &Path, file: &str, columns: &[&str]) -> Result<Lines, Box<dyn Error>> {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut lines = text.lines();
    if lines.next() != Some(&columns.join(",")) {
        return Err(format!("{}: other columns than {columns:?}", path.display()).into());
    }
    let values = |line: &str| -> Result<Vec<String>, String> {
        let values: Vec<_> = line.split(',').map(ToOwned::to_owned).collect();
        if values.len() == columns.len() {
            Ok(values)
        } else {
            Err(format!("{}: not as many values as columns: {line}", path.display()))
        }
    };
    Ok(lines.map(values).collect::<Result<_, _>>()?)
}

/// What was measured on: names and values.
pub(crate) fn machine(folder: &Path) -> Result<Lines, Box<dyn Error>> {
    let path = folder.join("machine.csv");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(text.lines().map(|line| line.split(',').map(ToOwned::to_owned).collect()).collect())
}

/// The rows of the comparison, in the order in which they were measured.
pub(crate) fn rows(folder: &Path) -> Result<Vec<row::Row>, Box<dyn Error>> {
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
pub(crate) fn packings(folder: &Path) -> Result<Vec<packing::Row>, Box<dyn Error>> {
    let columns = [&packing::COLUMNS[..], &MEASURES.map(|(name, _)| name)].concat();
    let mut rows: Vec<packing::Row> = Vec::new();
    for line in lines(folder, "processes.csv", &columns)? {
        let row = packing::Row {
            leaf: line[0].clone(),
            processes: line[1].parse()?,
            tokens: line[2].parse()?,
            sizes: line[3].clone(),
            perfect: line[4].parse()?,
            samples: Default::default(),
        };
        if rows.last().is_none_or(|last| last.name() != row.name()) {
            rows.push(row);
        }
        let mode = Mode::ALL.into_iter().find(|known| known.name() == line[5]);
        let mode = mode.ok_or_else(|| format!("no mode {}", line[5]))?;
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
