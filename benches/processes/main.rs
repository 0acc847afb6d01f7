//! Several processes on one budget, in five ways to share it, beside perfect packing.
//!
//! `cargo bench --bench processes -- [--quick] [--record FOLDER] [FILTER...]` starts 2 to 16 copies
//! of itself at once, with serial and wide phases of equal or of different sizes. Each has its own
//! slot, so that tokens and processes together are what may run at once. The ways take turns.
//!
//! Where leaves sleep in place of cores, 12 tokens stand for a machine of 13. Where they compute, the
//! budget is that of `make -j` with the machine's cores, one token less. The own slots of several
//! processes come on top, so there are always more slots than cores, and perfect packing is that of
//! the cores.

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
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use args::Options;
use child::{CHILD, Task};
use csv::Table;
use figures::Figures;
use leaf::Leaf;
use packing::{MEASURES, Mode, Row, Sample};
use phases::Phases;
use rayon_jobserver::Jobserver;

const VIRTUAL_TOKENS: usize = 12;
const ROUNDS: usize = 7;
const QUICK_ROUNDS: usize = 1;

/// Where constants of the policy can be changed, the ways that they matter to are run, a little, and all that
/// is kept are figures.
const TUNED_ROUNDS: usize = 2;
const TUNED_MODES: [Mode; 2] = [Mode::Ours, Mode::Bare];

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(task) = std::env::var(CHILD) {
        return child::run(&task);
    }
    let options = Options::parse()?;
    let (rounds, ways) = match options.quick {
        _ if cfg!(tuning) => (TUNED_ROUNDS, &TUNED_MODES[..]),
        true => (QUICK_ROUNDS, &Mode::ALL[..]),
        false => (ROUNDS, &Mode::ALL[..]),
    };
    let mut rows = Vec::new();
    let cores = thread::available_parallelism()?.get();
    let sleeping = [2, 4, 8, 16].map(|processes| (Leaf::Sleep, processes, VIRTUAL_TOKENS));
    let computing = [2, 4, 8].map(|processes| (Leaf::Compute, processes, cores - 1));
    for (leaf, processes, tokens) in sleeping.into_iter().chain(computing) {
        for alike in [true, false] {
            let cores = if leaf == Leaf::Sleep { usize::MAX } else { cores };
            let mut row = Row {
                leaf: leaf.name().to_owned(),
                processes,
                tokens,
                sizes: if alike { "alike" } else { "unlike" }.to_owned(),
                perfect: perfect(leaf, processes, tokens, alike, cores, options.quick),
                fair: fair(leaf, processes, tokens, alike, options.quick),
                samples: Default::default(),
            };
            assert!(
                row.fair.is_none_or(|fair| fair >= row.perfect),
                "nothing can beat that: {row:?}"
            );
            if !options.wants(&row.name()) {
                continue;
            }
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
        machine::describe(folder, options.quick)?;
        table(&rows).write(folder, "processes.csv")?;
    }
    Ok(())
}

/// Milliseconds that no schedule can beat.
fn perfect(
    leaf: Leaf,
    processes: usize,
    tokens: usize,
    alike: bool,
    cores: usize,
    quick: bool,
) -> f64 {
    let all: Vec<Phases> =
        (0..processes).map(|number| Phases::of(leaf, alike, number, quick)).collect();
    perfect::bound(&all, tokens, cores).as_secs_f64() * 1e3
}

/// Milliseconds that even sharing would take at no cost, where each slot has a core of its own.
fn fair(leaf: Leaf, processes: usize, tokens: usize, alike: bool, quick: bool) -> Option<f64> {
    let all = (0..processes).map(|number| Phases::of(leaf, alike, number, quick));
    (leaf == Leaf::Sleep).then(|| fair::end(all, tokens).as_secs_f64() * 1e3)
}

/// Runs all the processes once.
fn measure(
    row: &Row,
    mode: Mode,
    leaf: Leaf,
    alike: bool,
    quick: bool,
) -> Result<Sample, Box<dyn Error>> {
    let jobserver = Jobserver::new(row.tokens);
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
            Mode::Split => (row.slots() + row.processes - 1 - number) / row.processes,
        },
        trace: folder.path().join(number.to_string()),
    };
    let tasks: Vec<Task> = (0..row.processes).map(task).collect();
    let speed = leaf::steps_per_second();
    let before = usage::of_children()?;
    let begin = Instant::now();
    let start = |task: &Task| -> Result<Child, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(CHILD, task.to_words()).env(leaf::SPEED, speed.to_string());
        command.env_remove("RAYON_NUM_THREADS").stdout(Stdio::piped());
        jobserver.configure(&mut command)?;
        Ok(command.spawn()?)
    };
    let mut children = tasks.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let ends = children.iter_mut().map(Child::wait).collect::<Result<Vec<_>, _>>()?;
    let wall = begin.elapsed().as_secs_f64() * 1e3;
    let after = usage::of_children()?;
    assert!(ends.iter().all(|end| end.success()), "a child failed");
    assert_eq!(jobserver.available()?, row.tokens, "every token came back");

    let told = children.iter_mut().map(said).collect::<Result<Vec<_>, _>>()?;
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

/// The tokens and the milliseconds that a child has printed.
fn said(child: &mut Child) -> Result<(f64, f64), Box<dyn Error>> {
    let mut text = String::new();
    child.stdout.take().ok_or("its output was read already")?.read_to_string(&mut text)?;
    let (taken, millis) = text.trim().split_once(' ').ok_or("a child said something else")?;
    Ok((taken.parse()?, millis.parse()?))
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
