//! Several processes on one budget, in five ways to share it, beside perfect packing.
//!
//! `cargo bench --bench processes -- [--quick] [--record FOLDER] [FILTER...]` starts 2 to 16 copies
//! of itself, with serial and wide phases of equal or of different sizes. The ways take turns.
//!
//! Either all start at once, and each has its own slot beside the tokens; where there are several, the slots
//! are then always more than the cores, and perfect packing is that of the cores. Or GNU make starts each as
//! a slot comes free, as in a build, and slots are as many as cores. Where leaves sleep in place of cores, 12
//! tokens stand for a machine of 13. Where they compute, the budget is that of `make -j` with the machine's
//! cores, one token less.

#[path = "../common/args.rs"]
mod args;
mod child;
#[path = "../common/csv.rs"]
mod csv;
mod fair;
#[path = "../common/figure.rs"]
mod figure;
#[path = "../common/figures.rs"]
mod figures;
mod launch;
#[path = "../common/leaf.rs"]
mod leaf;
#[path = "../common/machine.rs"]
mod machine;
#[path = "../common/packing.rs"]
mod packing;
mod perfect;
mod phases;
#[path = "../common/stats.rs"]
mod stats;
#[path = "../../examples/support/sweep.rs"]
mod sweep;
#[path = "../../examples/support/trace.rs"]
mod trace;
mod usage;

use std::error::Error;
use std::thread;
use std::time::Instant;

use args::Options;
use child::{CHILD, Task};
use csv::Table;
use figures::Figures;
use leaf::Leaf;
use packing::{MEASURES, Mode, Row, Sample, Start};
use phases::Phases;

const VIRTUAL_TOKENS: usize = 12;
const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 1;
/// A make goes through so many processes that each run takes seconds.
const MOST_ROUNDS_OF_MAKE: usize = 5;

/// Where constants of the policy can be changed, the ways that they matter to are run, a little, and all that
/// is kept are figures.
const TUNED_ROUNDS: usize = 2;
const TUNED_MODES: [Mode; 2] = [Mode::Ours, Mode::Bare];

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(task) = std::env::var(CHILD) {
        return child::run(&task);
    }
    let options = Options::parse()?;
    machine::describe(&options)?;
    let (rounds, ways) = match options.quick {
        _ if cfg!(tuning) => (TUNED_ROUNDS, &TUNED_MODES[..]),
        true => (QUICK_ROUNDS, &Mode::ALL[..]),
        false => (ROUNDS, &Mode::ALL[..]),
    };
    let mut rows = Vec::new();
    let cores = thread::available_parallelism()?.get();
    let sleeping = [2, 4, 8, 16].map(|processes| (Start::AtOnce, Leaf::Sleep, processes));
    let computing = [2, 4, 8].map(|processes| (Start::AtOnce, Leaf::Compute, processes));
    // More than there are slots.
    let made = [(Start::Make, Leaf::Sleep, 16), (Start::Make, Leaf::Compute, 8)];
    for (start, leaf, processes) in sleeping.into_iter().chain(computing).chain(made) {
        for alike in [true, false] {
            let (tokens, cores) = match leaf {
                Leaf::Sleep => (VIRTUAL_TOKENS, usize::MAX),
                Leaf::Compute => (cores - 1, cores),
            };
            let all = (0..processes).map(|number| Phases::of(leaf, alike, number, options.quick));
            let all: Vec<_> = all.collect();
            let mut row = Row {
                leaf: leaf.name().to_owned(),
                start,
                processes,
                tokens,
                sizes: if alike { "alike" } else { "unlike" }.to_owned(),
                perfect: perfect(start, &all, tokens, cores),
                fair: (start == Start::AtOnce && leaf == Leaf::Sleep).then(|| fair(&all, tokens)),
                samples: Default::default(),
            };
            assert!(
                row.fair.is_none_or(|fair| fair >= row.perfect),
                "nothing can beat that: {row:?}"
            );
            if !options.wants(&row.name()) {
                continue;
            }
            let rounds =
                if start == Start::Make { rounds.min(MOST_ROUNDS_OF_MAKE) } else { rounds };
            for round in 0..rounds {
                let mut modes = ways.to_vec();
                modes.rotate_left(round % ways.len());
                for mode in modes {
                    let sample = measure(&row, mode, leaf, alike, options.quick)?;
                    row.samples[mode as usize].push(sample);
                }
            }
            if !cfg!(tuning) {
                print(&row);
            }
            rows.push(row);
        }
    }
    if cfg!(tuning) {
        return Ok(figures(&rows).record(&options)?);
    }
    if let Some(folder) = options.record() {
        table(&rows).write(folder, "processes.csv")?;
    }
    Ok(())
}

/// Milliseconds that no schedule can beat.
fn perfect(start: Start, all: &[Phases], tokens: usize, cores: usize) -> f64 {
    let bound = match start {
        Start::AtOnce => perfect::bound(all, tokens, cores),
        Start::Make => perfect::bound_by_make(all, tokens + 1, cores),
    };
    bound.as_secs_f64() * 1e3
}

/// Milliseconds that even sharing would take at no cost, where each slot has a core of its own.
fn fair(all: &[Phases], tokens: usize) -> f64 {
    fair::end(all.iter().copied(), tokens).as_secs_f64() * 1e3
}

/// Runs all the processes once.
fn measure(
    row: &Row,
    mode: Mode,
    leaf: Leaf,
    alike: bool,
    quick: bool,
) -> Result<Sample, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let task = |number| Task {
        mode,
        leaf,
        alike,
        quick,
        number,
        threads: match mode {
            Mode::Ours | Mode::Bare | Mode::Oversubscribed | Mode::Sized => row.tokens + 1,
            // What cannot be divided goes to the first.
            Mode::Split => ((row.slots() + row.processes - 1 - number) / row.processes).max(1),
        },
        trace: folder.path().join(number.to_string()),
    };
    let tasks: Vec<Task> = (0..row.processes).map(task).collect();
    let speed = leaf::steps_per_second();
    let before = usage::of_children()?;
    let begin = Instant::now();
    let told = match row.start {
        Start::AtOnce => launch::at_once(&tasks, row.tokens, speed)?,
        Start::Make => launch::by_make(&tasks, row.slots(), speed, folder.path())?,
    };
    let wall = begin.elapsed().as_secs_f64() * 1e3;
    let after = usage::of_children()?;
    assert_eq!(told.len(), tasks.len(), "each process tells once: {told:?}");

    let stamps =
        tasks.iter().map(|task| sweep::read(&task.trace)).collect::<Result<Vec<_>, _>>()?;
    let mut stamps = stamps.concat();
    stamps.sort_unstable();
    let jobs = sweep::sweep(stamps);
    Ok(Sample {
        wall,
        mean: told.iter().map(|(_, millis)| millis).sum::<f64>() / told.len() as f64,
        max: told.iter().map(|&(_, millis)| millis).fold(0.0, f64::max),
        peak: jobs.most as f64,
        running: jobs.mean,
        waits: after.waits - before.waits,
        stops: after.stops - before.stops,
        cpu: (after.cpu - before.cpu).as_secs_f64() * 1e3,
        taken: told.iter().map(|(taken, _)| taken).sum(),
    })
}

fn print(row: &Row) {
    let fair = row.fair.map_or(String::new(), |fair| format!(", fair {fair:.0} ms"));
    println!("{}; perfect {:.0} ms{fair}", row.name(), row.perfect);
    for mode in Mode::ALL {
        print!("    {:14} {:5.3} x perfect", mode.name(), row.wall(mode) / row.perfect);
        for (name, measure) in MEASURES {
            print!(", {name} {:.1}", row.of(mode, measure).median());
        }
        println!();
    }
    let lost = row.lost();
    if !lost.is_empty() {
        println!("    LOST: {}", lost.join(" "));
    }
}

fn figures(rows: &[Row]) -> Figures {
    let mut figures = Figures::default();
    for row in rows {
        for mode in TUNED_MODES {
            let name = format!("{}: {}", row.name(), mode.name()).replace(',', "");
            figures.note(name, row.wall(mode) / row.perfect, "x perfect", ..);
        }
    }
    figures
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[&packing::COLUMNS[..], &MEASURES.map(|(name, _)| name)].concat());
    for row in rows {
        for mode in Mode::ALL {
            for (round, sample) in row.samples[mode as usize].iter().enumerate() {
                let mut line = vec![
                    row.leaf.clone(),
                    row.start.name().to_owned(),
                    row.processes.to_string(),
                    row.tokens.to_string(),
                    row.sizes.clone(),
                    format!("{:.3}", row.perfect),
                    row.fair.map_or(String::new(), |fair| format!("{fair:.3}")),
                    mode.name().to_owned(),
                    round.to_string(),
                ];
                line.extend(MEASURES.map(|(_, measure)| format!("{:.3}", measure(sample))));
                table.line(&line);
            }
        }
    }
    table
}
