//! Plots in SVG.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::packing::{self, Mode};
use crate::row::{Contender, Row, Supply};
use crate::stats::Quartiles;

/// A plot that was drawn: its file's name, and what it shows.
pub(crate) struct Plot {
    pub(crate) file: &'static str,
    pub(crate) title: &'static str,
}

/// A point of a line for each of the series, with its quartiles.
struct Line {
    name: String,
    points: Vec<Quartiles>,
}

/// Colours that are told apart by whoever sees red and green alike.
const BLUE: RGBColor = RGBColor(0, 114, 178);
const ORANGE: RGBColor = RGBColor(213, 94, 0);
const SKY: RGBColor = RGBColor(86, 180, 233);
const GREY: RGBColor = RGBColor(140, 140, 140);
const GREEN: RGBColor = RGBColor(0, 158, 115);

/// Draws what there are rows for.
pub(crate) fn draw(
    folder: &Path,
    rows: &[Row],
    packings: &[packing::Row],
) -> Result<Vec<Plot>, Box<dyn Error>> {
    let mut drawn = Vec::new();
    let mut plot = |file, title, series: &[(&str, RGBColor)], bound, lines: Vec<Line>| {
        if !lines.is_empty() {
            dots(&folder.join(file), title, series, bound, &lines)?;
            drawn.push(Plot { file, title });
        }
        Ok::<_, Box<dyn Error>>(())
    };
    let contenders =
        [("ours", BLUE), ("ours, bare", SKY), ("sized at start", GREY), ("fork", ORANGE)];
    for (supply, file, title) in [
        (Supply::Plenty, "plenty.svg", "A token for each worker: times stock rayon"),
        (Supply::Starved, "starved.svg", "Fewer tokens than workers: times stock rayon"),
        (Supply::Growing, "growing.svg", "Tokens come after a quarter: times stock rayon"),
    ] {
        let lines = rows.iter().filter(|row| row.supply() == supply).map(times_stock);
        plot(file, title, &contenders, crate::row::BOUND, lines.collect())?;
    }
    let lines = rows.iter().filter(|row| row.is_of_phases()).map(tokens);
    let takers = [("ours", BLUE), ("ours, bare", SKY), ("fork", ORANGE)];
    let title = "Phases: tokens taken in a run, for each that may be held (0.01: so few, or none)";
    plot("tokens.svg", title, &takers, 1.0, lines.collect())?;
    let modes = [
        ("ours", BLUE),
        ("ours, bare", SKY),
        ("oversubscribed", GREEN),
        ("fixed split", GREY),
        ("sized at start", ORANGE),
    ];
    let title = "Processes on one budget: times perfect packing";
    plot("processes.svg", title, &modes, 1.10, packings.iter().map(times_perfect).collect())?;
    Ok(drawn)
}

fn times_stock(row: &Row) -> Line {
    let ratios = |who| row.ratios(who, Contender::Stock);
    Line {
        name: format!("{} ({}, {})", row.work, row.workers, row.tokens),
        points: [Contender::Ours, Contender::Bare, Contender::Sized, Contender::Fork]
            .map(ratios)
            .to_vec(),
    }
}

/// The axis is logarithmic and has no place for none, nor should it for hardly any.
const FEWEST_TOKENS: f64 = 0.01;

fn tokens(row: &Row) -> Line {
    let held = (row.width() - 1) as f64;
    Line {
        name: format!("{} ({}, {})", row.work, row.workers, row.tokens),
        points: [Contender::Ours, Contender::Bare, Contender::Fork]
            .map(|who| Quartiles([(row.taken(who) / held).max(FEWEST_TOKENS); 3]))
            .to_vec(),
    }
}

fn times_perfect(row: &packing::Row) -> Line {
    let ratios =
        |mode| Quartiles(row.of(mode, |sample| sample.wall).0.map(|millis| millis / row.perfect));
    Line { name: row.name(), points: Mode::ALL.map(ratios).to_vec() }
}

/// A line for each name, dots for medians, and strokes between the quartiles; a thin line at the
/// bound.
fn dots(
    file: &Path,
    title: &str,
    series: &[(&str, RGBColor)],
    bound: f64,
    lines: &[Line],
) -> Result<(), Box<dyn Error>> {
    let values = || lines.iter().flat_map(|line| &line.points).flat_map(|point| point.0);
    let low = values().fold(bound, f64::min) * 0.95;
    let high = values().fold(bound, f64::max) * 1.05;
    let area = SVGBackend::new(file, (1000, 110 + 17 * lines.len() as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let (head, body) = area.split_vertically(55);
    key(&head, title, series)?;
    // Names are drawn below each other from the top, so the first is the highest.
    let height = |line: usize| (lines.len() - line) as f64 - 0.5;
    let mut chart = ChartBuilder::on(&body)
        .margin(5)
        .margin_right(25)
        .x_label_area_size(30)
        .y_label_area_size(420)
        .build_cartesian_2d((low..high).log_scale(), 0.0..lines.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 12))
        .draw()?;
    for (number, line) in lines.iter().enumerate() {
        let place = chart.backend_coord(&(low, height(number)));
        area.draw_text(&line.name, &TextStyle::from(("sans-serif", 12)), (20, place.1 - 7))?;
        let rule =
            PathElement::new([(low, height(number)), (high, height(number))], BLACK.mix(0.1));
        chart.draw_series([rule])?;
    }
    let ends = [(bound, 0.0), (bound, lines.len() as f64)];
    chart.draw_series([PathElement::new(ends, BLACK.mix(0.6))])?;
    for (index, &(_, colour)) in series.iter().enumerate() {
        let strokes = lines.iter().enumerate().map(|(number, line)| {
            let [left, _, right] = line.points[index].0;
            let ends = [(left, height(number)), (right, height(number))];
            PathElement::new(ends, colour.stroke_width(2))
        });
        chart.draw_series(strokes)?;
        let medians = lines.iter().enumerate().map(|(number, line)| {
            Circle::new((line.points[index].median(), height(number)), 4, colour.filled())
        });
        chart.draw_series(medians)?;
    }
    area.present()?;
    Ok(())
}

/// The title, and what the colours mean.
fn key(
    head: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    series: &[(&str, RGBColor)],
) -> Result<(), Box<dyn Error>> {
    head.draw_text(title, &TextStyle::from(("sans-serif", 18)), (20, 8))?;
    let mut left = 425;
    for &(name, colour) in series {
        head.draw(&Circle::new((left, 42), 4, colour.filled()))?;
        head.draw_text(name, &TextStyle::from(("sans-serif", 12)), (left + 10, 36))?;
        left += 130;
    }
    Ok(())
}
