//! The page.

use std::ffi::OsStr;
use std::iter;
use std::path::Path;

use crate::elsewhere;
use crate::machine;
use crate::packing::{self, Start};
use crate::plots::Plot;
use crate::read::{BENCHES, Record};
use crate::row::{Average, BOUND, Contender, MEAN_BOUND, Row, Supply};
use crate::tables;

/// All of BENCHMARKS.md. The plots and raw results are in the folder `link`.
pub(crate) fn page(link: &Path, record: &Record, plots: &[Plot]) -> String {
    let Record { machine, rows, packings, figures, tuned, tuning, elsewhere } = record;
    let of = |supply| tables::comparison(rows.iter().filter(move |row| row.supply() == supply));
    let packing = |rows: &dyn Fn(&packing::Row) -> bool| {
        let rows: Vec<_> = packings.iter().filter(|row| rows(row)).collect();
        if rows.is_empty() { absent() } else { tables::packing(rows) }
    };
    let at_once = |leaf| packing(&|row| row.start == Start::AtOnce && row.leaf == leaf);
    let sections = [
        ("machine", machine::section(machine)),
        ("record", format!("[{0}]({0})", link.display())),
        ("summary", summary(record)),
        ("plenty", of(Supply::Plenty)),
        ("starved", of(Supply::Starved)),
        ("growing", of(Supply::Growing)),
        ("sleeping", at_once("sleeping")),
        ("computing", at_once("computing")),
        ("by make", packing(&|row| row.start == Start::Make)),
        (
            "elsewhere",
            if elsewhere.is_empty() {
                absent()
            } else {
                tables::table(&elsewhere::HEAD, elsewhere::lines(elsewhere))
            },
        ),
        ("tuned", tuned.as_ref().map_or(String::new(), |other| when_tuned(link, other))),
        ("tuning", if tuning.is_empty() { absent() } else { tables::tuning(tuning) }),
    ];
    let benches = BENCHES.map(|bench| {
        let figures: Vec<_> = figures.iter().filter(|figure| figure.bench == bench).collect();
        (bench, if figures.is_empty() { absent() } else { tables::figures(figures) })
    });
    let shown = plots
        .iter()
        .map(|Plot { file, title }| (*file, format!("![{title}]({}/{file})\n", link.display())));
    let sections = sections.into_iter().chain(benches).chain(shown);
    sections.fold(include_str!("method.md").to_owned(), |page, (name, text)| {
        page.replace(&format!("{{{{{name}}}}}"), text.trim_end())
    })
}

/// One more sentence, which names the record of that name beside the one behind `link`.
fn when_tuned(link: &Path, other: &OsStr) -> String {
    format!(
        " This table and the next belong to an earlier record, with the policy of that time: [{0}]({0}).",
        link.with_file_name(other).display()
    )
}

/// In place of what has not been measured.
fn absent() -> String {
    "Not in this record.".to_owned()
}

/// How many rows of each kind are lost, and the means.
fn summary(Record { rows, packings, figures, .. }: &Record) -> String {
    let kinds = [
        (Supply::Plenty, "a token for each worker"),
        (Supply::Starved, "fewer tokens than workers"),
        (Supply::Growing, "tokens that come later"),
    ];
    let mut lines: Vec<Vec<String>> = Vec::new();
    for (supply, name) in kinds {
        let kind = || rows.iter().filter(|row| row.supply() == supply);
        lines.push(count(name, kind().map(Row::lost)));
    }
    lines.push(count("processes", packings.iter().map(packing::Row::lost)));
    let bound = figures.iter().filter(|figure| !figure.bound().is_empty());
    let lost = bound.map(|it| it.is_lost().then_some(it.bench.as_str()).into_iter().collect());
    lines.push(count("figures with a bound", lost));
    let columns = ["rows with", "all", "lost", "by which bound"];
    let alike = || rows.iter().filter(|row| row.supply() != Supply::Growing);
    let noisy = alike().filter(|row| row.ratio(Contender::Sized) > BOUND).count();
    let alike = alike().count();
    format!(
        "{}\n{}\nThe bound of ours is {MEAN_BOUND} in the first two columns. A single row's bound is {BOUND}; by noise \
         alone a pool sized once, which is stock rayon itself where no tokens come later, is beyond it in {noisy} of \
         {alike} rows.\n",
        tables::table(&columns, lines),
        means(rows),
    )
}

/// How long everybody takes.
fn means(rows: &[Row]) -> String {
    let contenders = [
        (Contender::Ours, "announced calls"),
        (Contender::Bare, "bare calls"),
        (Contender::Sized, "a pool sized once"),
        (Contender::Fork, "rustc's fork of rayon"),
    ];
    let head = "times as long as stock rayon (geometric mean)";
    let columns: Vec<_> = iter::once(head).chain(Average::ALL.map(Average::name)).collect();
    let lines = contenders.map(|(contender, name)| {
        let cell = |average: Average| {
            let mean = format!("{:.3}", average.of(rows, contender));
            if average.is_lost(rows, contender) { format!("**{mean}**") } else { mean }
        };
        iter::once(name.to_owned()).chain(Average::ALL.map(cell)).collect()
    });
    tables::table(&columns, lines)
}

fn count<'a>(name: &str, rows: impl Iterator<Item = Vec<&'a str>>) -> Vec<String> {
    let rows: Vec<_> = rows.collect();
    let lost = rows.iter().filter(|lost| !lost.is_empty()).count();
    let mut bounds: Vec<(&str, usize)> = Vec::new();
    for bound in rows.iter().flatten() {
        match bounds.iter_mut().find(|(known, _)| known == bound) {
            Some((_, count)) => *count += 1,
            None => bounds.push((bound, 1)),
        }
    }
    let bounds: Vec<_> = bounds.iter().map(|(bound, count)| format!("{bound} {count}")).collect();
    vec![name.to_owned(), rows.len().to_string(), lost.to_string(), bounds.join(", ")]
}
