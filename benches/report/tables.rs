//! Tables in Markdown.

use std::fmt::Write as _;

use crate::figure::Figure;
use crate::packing::{self, Mode};
use crate::row::{Contender, Row};
use crate::stats::Quartiles;
use crate::tuning::Tuning;

/// Columns, and lines of as many cells.
pub(crate) fn table(columns: &[&str], lines: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", columns.join(" | "), " --- |".repeat(columns.len()));
    for line in lines {
        writeln!(text, "| {} |", line.join(" | ")).expect("a string takes all that is written");
    }
    text
}

/// A median with its quartiles.
fn spread(Quartiles([low, median, high]): Quartiles) -> String {
    let digits = if median < 100.0 { 2 } else { 0 };
    format!("{median:.digits$} ({low:.digits$}–{high:.digits$})")
}

/// The bounds that are broken, so that they catch the eye.
fn losses(lost: &[&str]) -> String {
    if lost.is_empty() { String::new() } else { format!("**{}**", lost.join(", ")) }
}

/// Each contender's times, ratios, tokens and peaks.
pub(crate) fn comparison<'a>(rows: impl IntoIterator<Item = &'a Row>) -> String {
    use Contender::{Bare, Fork, Ours, Sized, Stock, Wide};
    let columns = [
        "work",
        "n, k",
        "stock, ms",
        "wide, ms",
        "ours, ms",
        "bare, ms",
        "sized, ms",
        "fork, ms",
        "wide",
        "ours",
        "bare",
        "sized",
        "fork",
        "tokens a run: ours / bare / fork",
        "at once: ours / bare / fork",
        "lost",
    ];
    let line = |row: &Row| {
        let mut cells = vec![row.work.clone(), format!("{}, {}", row.workers, row.tokens)];
        cells.extend([Stock, Wide, Ours, Bare, Sized, Fork].map(|who| spread(row.quartiles(who))));
        cells.extend([Wide, Ours, Bare, Sized, Fork].map(|who| format!("{:.3}", row.ratio(who))));
        let takers = [Ours, Bare, Fork];
        cells.push(takers.map(|who| format!("{:.1}", row.taken(who))).join(" / "));
        let peaks: Option<Vec<_>> = takers.into_iter().map(|who| row.peak(who)).collect();
        let peaks = peaks.unwrap_or_default().into_iter().map(|peak| peak.to_string());
        cells.push(peaks.collect::<Vec<_>>().join(" / "));
        cells.push(losses(&row.lost()));
        cells
    };
    table(&columns, rows.into_iter().map(line))
}

/// Walls, jobs at once and costs of each way to share a budget.
pub(crate) fn packing<'a>(rows: impl IntoIterator<Item = &'a packing::Row>) -> String {
    let columns = [
        "processes",
        "way",
        "wall, ms",
        "× perfect",
        "a process, ms: mean / max",
        "at once: most / mean",
        "context switches: waits / stops",
        "CPU, ms",
        "tokens",
        "lost",
    ];
    let lines = rows.into_iter().flat_map(|row| {
        Mode::ALL
            .map(|mode| {
                let median = |measure| row.of(mode, measure).median();
                let ours = mode == Mode::Ours;
                vec![
                    if ours { row.name() } else { String::new() },
                    mode.name().to_owned(),
                    spread(row.of(mode, |sample| sample.wall)),
                    format!("{:.3}", row.wall(mode) / row.perfect),
                    format!("{:.0} / {:.0}", median(|it| it.mean), median(|it| it.max)),
                    format!(
                        "{:.0} / {:.1} of {}",
                        median(|it| it.peak),
                        median(|it| it.running),
                        row.slots()
                    ),
                    format!("{:.0} / {:.0}", median(|it| it.waits), median(|it| it.stops)),
                    format!("{:.0}", median(|it| it.cpu)),
                    format!("{:.0}", median(|it| it.taken)),
                    losses(&row.broken(mode)),
                ]
            })
            .into_iter()
            .chain(row.fair.map(|fair| {
                let way = "*even sharing at no cost*".to_owned();
                let mut cells = vec![String::new(), way, format!("{fair:.0}")];
                cells.push(format!("{:.3}", fair / row.perfect));
                cells.resize(columns.len(), String::new());
                cells
            }))
    });
    table(&columns, lines)
}

/// Single figures and their bounds.
pub(crate) fn figures<'a>(figures: impl IntoIterator<Item = &'a Figure>) -> String {
    let lines = figures.into_iter().map(|figure| {
        let lost = if figure.is_lost() { "**lost**" } else { "" };
        let (amount, bound) = (figure.amount(), figure.bound());
        vec![figure.name.clone(), amount, figure.unit.clone(), bound, lost.to_owned()]
    });
    table(&["figure", "value", "unit", "bound", "lost"], lines)
}

/// Each constant's worth.
pub(crate) fn tuning(tuning: &Tuning) -> String {
    format!("{}\n{}", table(&tuning.columns(), tuning.lines()), tuning.verdict())
}
