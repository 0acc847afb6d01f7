//! What the policy's constants are worth: how rows of the comparison move when each halves and doubles.
//!
//! `RUSTFLAGS="--cfg tuning" cargo bench --bench tune --target-dir target/tuning -- [--quick]
//! [--record FOLDER] [FILTER...]` prints a line for each constant, factor and row: the ratio to a pool
//! in which nothing is changed, which runs the same work in the same round, and the tokens taken; then figures of
//! other benches.
//! A filter is for the name of a constant and the kind of work, or the other bench. Without that flag the library
//! cannot change its constants, and nothing is done.

#[path = "../common/args.rs"]
mod args;
mod columns;
#[path = "../common/csv.rs"]
mod csv;
mod elsewhere;
#[path = "../common/figure.rs"]
mod figure;
#[path = "../../examples/support/files.rs"]
mod files;
#[path = "../compare/input.rs"]
mod input;
#[path = "../compare/jobs.rs"]
mod jobs;
#[path = "../common/leaf.rs"]
mod leaf;
#[path = "../common/lines.rs"]
mod lines;
#[path = "../common/machine.rs"]
mod machine;
#[path = "../compare/on_stock.rs"]
mod on_stock;
#[path = "../common/read_figures.rs"]
mod read_figures;
#[path = "../compare/rows.rs"]
mod rows;
#[path = "../compare/settle.rs"]
mod settle;
#[path = "../common/stats.rs"]
mod stats;
#[path = "../compare/work.rs"]
mod work;

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use args::Options;
use columns::NONE;
use csv::Table;
use figure::Figure;
use jobs::Jobs;
use leaf::Leaf;
use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder};
use settle::settle;
use stats::Quartiles;
use work::{Scene, Work};

const ROUNDS: usize = 4;
const QUICK_ROUNDS: usize = 1;

/// Rows that most constants matter to: parts of their names, and their shapes.
const ROWS: [(&str, usize, usize); 7] = [
    ("20 x join of 1 ms", 16, 1),
    ("200 x section of 100µs", 16, 1),
    ("20 x section of 1ms + gap", 16, 15),
    ("60 x 200µs serial", 16, 15),
    ("20 x 1ms serial", 64, 63),
    ("10 x 3ms serial", 16, 3),
    ("4 x scope", 64, 7),
];

/// What each constant is multiplied by.
const FACTORS: [f64; 2] = [0.5, 2.0];

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    if knobs().is_empty() {
        println!("build it with RUSTFLAGS=\"--cfg tuning\"");
        return Ok(());
    }
    machine::describe(&options)?;
    let mut table = Table::new(&columns::ROUNDS);
    let halved_and_doubled =
        knobs().into_iter().flat_map(|knob| FACTORS.map(|factor| (knob, factor)));
    for (knob, factor) in [(NONE, 1.0)].into_iter().chain(halved_and_doubled) {
        for (name, workers, tokens) in ROWS {
            let mut plans = rows::all().into_iter();
            let is_meant = |plan: &rows::Plan| {
                plan.work.name().starts_with(name) && plan.shapes.contains(&(workers, tokens))
            };
            let plan = plans.find(is_meant).ok_or_else(|| format!("no row {name}"))?;
            // Where leaves sleep, nothing is detected.
            let void = knob == "detect" && plan.work.leaf == Leaf::Sleep;
            if void || !options.wants(&format!("{knob} {}", plan.work.kind.group())) {
                continue;
            }
            let rounds = if options.quick { QUICK_ROUNDS } else { ROUNDS.min(plan.rounds) };
            let samples = measure(&plan.work, (workers, tokens), (knob, factor), rounds)?;
            print(&plan.work, (workers, tokens), (knob, factor), &samples);
            for (round, sample) in samples.iter().enumerate() {
                table.line(&[
                    knob.to_owned(),
                    factor.to_string(),
                    plan.work.name(),
                    workers.to_string(),
                    tokens.to_string(),
                    round.to_string(),
                    format!("{:.4}", sample.millis),
                    format!("{:.4}", sample.base),
                    sample.taken.to_string(),
                ]);
            }
        }
    }
    let elsewhere = elsewhere(&options)?;
    if let Some(folder) = options.record() {
        table.write(folder, "tune.csv")?;
        elsewhere.write(folder, "tune_elsewhere.csv")?;
    }
    Ok(())
}

/// Of each other bench what it makes of the constants as they are, and of each that it minds, round by round.
fn elsewhere(options: &Options) -> Result<Table, Box<dyn Error>> {
    let mut table = Table::new(&columns::ELSEWHERE);
    for other in elsewhere::ALL {
        let minded = || knobs().into_iter().filter(|knob| other.minds(knob));
        for round in 0..if options.quick { 1 } else { other.rounds } {
            let changed = minded().flat_map(|knob| FACTORS.map(|factor| (knob, factor)));
            for (knob, factor) in [(NONE, 1.0)].into_iter().chain(changed) {
                if !options.wants(&format!("{knob} {}", other.bench)) {
                    continue;
                }
                for figure in other.run((knob != NONE).then_some((knob, factor)))? {
                    let lost = if figure.is_lost() { " LOST" } else { "" };
                    let (amount, bound) = (figure.amount(), figure.bound());
                    let Figure { bench, name, value, unit, .. } = figure;
                    println!(
                        "{knob:17} x {factor:3}: {bench}: {name}: {amount} {unit} {bound}{lost}"
                    );
                    let [factor, round, value] =
                        [factor.to_string(), round.to_string(), value.to_string()];
                    table.line(&[knob.to_owned(), factor, bench, name, round, value, unit]);
                }
            }
        }
    }
    Ok(table)
}

#[cfg(tuning)]
fn knobs() -> Vec<&'static str> {
    ThreadPoolBuilder::knobs()
}

#[cfg(not(tuning))]
fn knobs() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(tuning)]
fn tuned(builder: ThreadPoolBuilder, (knob, factor): (&str, f64)) -> ThreadPoolBuilder {
    if knob == NONE { builder } else { builder.tuned(knob, factor) }
}

#[cfg(not(tuning))]
fn tuned(builder: ThreadPoolBuilder, _: (&str, f64)) -> ThreadPoolBuilder {
    builder
}

/// One round.
struct Sample {
    /// Milliseconds with the change, and without one.
    millis: f64,
    base: f64,
    /// Tokens, with the change.
    taken: u64,
}

fn measure(
    work: &Work,
    (workers, tokens): (usize, usize),
    setting: (&str, f64),
    rounds: usize,
) -> Result<Vec<Sample>, Box<dyn Error>> {
    let width = workers.min(tokens + 1);
    let pool = |setting| -> Result<(Jobserver, ThreadPool), Box<dyn Error>> {
        let jobserver = Jobserver::new(tokens);
        // A real pipe, as in a build.
        jobserver.configure(&mut Command::new("true"))?;
        let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
        let builder = tuned(builder, setting);
        let pool = match work.leaf {
            Leaf::Compute => builder.build()?,
            Leaf::Sleep => builder.detect_blocking(None).build()?,
        };
        Ok((jobserver, pool))
    };
    let ((jobserver, changed), (_, base)) = (pool(setting)?, pool((NONE, 1.0))?);
    let run = |enter: work::Enter<'_>| {
        settle();
        let jobs = Jobs::new(work.leaf);
        let scene = Scene { width, jobs: &jobs, enter, grow: &|| () };
        if let Some(before) = work.before() {
            on_stock::run(&before, &scene);
        }
        let time = on_stock::run(work, &scene);
        assert!(jobs.peak() <= Some(width), "more jobs at once than tokens and the own slot");
        millis(time)
    };
    let round = |number: usize| {
        let on_base = || run(&|section| base.install(section));
        // Each comes first as often as the other.
        let first = number.is_multiple_of(2).then(on_base);
        let before = jobserver.taken();
        let millis = run(&|section| changed.install(section));
        let taken = jobserver.taken() - before;
        Sample { millis, base: first.unwrap_or_else(on_base), taken }
    };
    // Once to warm caches and threads.
    round(0);
    Ok((0..rounds).map(round).collect())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn print(work: &Work, shape: (usize, usize), (knob, factor): (&str, f64), samples: &[Sample]) {
    let of = |value: fn(&Sample) -> f64| Quartiles::of(samples.iter().map(value)).median();
    let ratio = of(|sample| sample.millis / sample.base);
    let taken = of(|sample| sample.taken as f64);
    println!("{knob:17} x {factor:3}: {ratio:6.3}, {taken:5.0} tokens: {} {shape:?}", work.name());
}
