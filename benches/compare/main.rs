//! The same work on stock rayon, on ours, own and global, on a pool sized once, and on rustc's fork
//! of rayon.
//!
//! `cargo bench --bench compare -- [--quick] [--record FOLDER] [FILTER...]` prints a line a row:
//! the quartiles of each contender's times in milliseconds, its ratio to stock, the tokens it took in
//! a run, and which bounds ours breaks. Work that sleeps does so in place of cores that the machine
//! lacks. The contenders take turns within each round, which is why no common harness is used: one
//! that measures each to its end compares moments of the machine as well.

#[path = "../common/args.rs"]
mod args;
mod contenders;
#[path = "../common/csv.rs"]
mod csv;
#[path = "../../examples/support/files.rs"]
mod files;
mod input;
mod jobs;
#[path = "../common/leaf.rs"]
mod leaf;
#[path = "../common/machine.rs"]
mod machine;
mod on_fork;
mod on_stock;
mod process;
mod proxy;
#[path = "../common/row.rs"]
mod row;
mod rows;
mod settle;
#[path = "../common/stats.rs"]
mod stats;
mod work;

use std::error::Error;

use args::Options;
use csv::Table;
use process::Process;
use row::{Average, Contender, Row};
use work::Work;

const QUICK_ROUNDS: usize = 1;

/// After so many rounds all contenders have new processes, lest a row rest on what a single one happened to be like.
const RENEWED: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(task) = std::env::var(process::SERVED) {
        return process::serve(&task);
    }
    let options = Options::parse()?;
    machine::describe(&options)?;
    let mut rows = Vec::new();
    for plan in rows::all() {
        let name = plan.work.name();
        for &(workers, tokens) in plan.shapes {
            if !options.wants(&format!("{} {name} ({workers},{tokens})", plan.work.kind.group())) {
                continue;
            }
            let rounds = if options.quick { QUICK_ROUNDS } else { plan.rounds };
            let row = measure(&plan.work, workers, tokens, rounds)?;
            print(&row);
            rows.push(row);
        }
    }
    for contender in [Contender::Ours, Contender::Bare, Contender::Sized, Contender::Fork] {
        for average in Average::ALL {
            let mean = average.of(&rows, contender);
            let lost = if average.is_lost(&rows, contender) { "  LOST" } else { "" };
            println!("{} to stock, {}: {mean:.3}{lost}", contender.name(), average.name());
        }
    }
    if let Some(folder) = options.record() {
        table(&rows).write(folder, "compare.csv")?;
    }
    Ok(())
}

fn measure(
    work: &Work,
    workers: usize,
    tokens: usize,
    rounds: usize,
) -> Result<Row, Box<dyn Error>> {
    let group = work.kind.group().to_owned();
    let mut row = Row { group, work: work.name(), workers, tokens, samples: Default::default() };
    let mut processes = Vec::new();
    for round in 0..rounds {
        if round % RENEWED == 0 {
            processes = contenders(&row, work)?;
        }
        // In turn, so that all meet the same machine, and in another order each time.
        processes.rotate_left(1);
        if round % Contender::ALL.len() == 0 {
            processes.reverse();
        }
        for (contender, process) in &mut processes {
            let sample = process.run()?;
            row.samples[*contender as usize].push(sample);
        }
    }
    Ok(row)
}

/// Starts a process for each, and has each run the work once to warm caches and threads.
fn contenders(row: &Row, work: &Work) -> Result<Vec<(Contender, Process)>, Box<dyn Error>> {
    let warm = |contender| {
        let mut process = Process::start(contender, row, work)?;
        process.run()?;
        Ok((contender, process))
    };
    Contender::ALL.into_iter().map(warm).collect()
}

fn print(row: &Row) {
    println!("{}: {}, {} workers, {} tokens", row.group, row.work, row.workers, row.tokens);
    for contender in Contender::ALL {
        let [low, median, high] = row.quartiles(contender).0;
        print!(
            "    {:5} {median:9.3} ({low:.3}-{high:.3}) ms, ratio {:5.3}, {:7.1} tokens",
            contender.name(),
            row.ratio(contender),
            row.taken(contender)
        );
        println!(
            "{}",
            row.peak(contender).map_or(String::new(), |peak| format!(", {peak} at once"))
        );
    }
    let lost = row.lost();
    if !lost.is_empty() {
        println!("    LOST: {}", lost.join(" "));
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&row::COLUMNS);
    for row in rows {
        for contender in Contender::ALL {
            for (round, sample) in row.samples[contender as usize].iter().enumerate() {
                table.line(&[
                    row.group.clone(),
                    row.work.clone(),
                    row.workers.to_string(),
                    row.tokens.to_string(),
                    contender.name().to_owned(),
                    round.to_string(),
                    format!("{:.4}", sample.millis),
                    sample.taken.to_string(),
                    sample.peak.map_or(String::new(), |peak| peak.to_string()),
                ]);
            }
        }
    }
    table
}
