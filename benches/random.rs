//! Random fork-join programs on a starved pool beside one stock thread: by how much is any slower?
//! A stock pool of as many threads as ours may run shows how often the machine makes one slower.
//!
//! `cargo bench --bench random -- [--quick] [--record FOLDER] [FILTER...]` ends with those that were
//! slower by most, in words by which a filter finds them: `"seed 7,"` runs that program alone.

#[path = "common/args.rs"]
mod args;
#[path = "common/csv.rs"]
mod csv;
#[path = "common/figure.rs"]
mod figure;
#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;
#[path = "../tests/common/program.rs"]
mod program;

use std::error::Error;
use std::time::{Duration, Instant};

use args::Options;
use csv::Table;
use figures::Figures;
use program::{Program, Random};
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

const PER_POOL: u64 = 10;
const POOLS: u64 = 1_000;
const QUICK_POOLS: u64 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    machine::describe(&options)?;
    let stock = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let mut excesses = Vec::new();
    let mut sized_excesses = Vec::new();
    let mut raw = Table::new(&["seed", "workers", "tokens", "stock_ms", "sized_ms", "ms"]);
    let mut totals = [Duration::ZERO; 3];
    for group in 0..if options.quick { QUICK_POOLS } else { POOLS } {
        let mut random = Random::new(group);
        let workers = 1 + random.below(48) as usize;
        let tokens = random.below(workers as u64 + 1) as usize;
        let jobserver = Jobserver::new(tokens);
        let ours = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver);
        let ours = ours.detect_blocking(None).build()?;
        let sized = rayon::ThreadPoolBuilder::new().num_threads(workers.min(tokens + 1)).build()?;
        for seed in group * PER_POOL..(group + 1) * PER_POOL {
            let name = format!("seed {seed}, {workers} workers, {tokens} tokens");
            if !options.wants(&name) {
                continue;
            }
            let mut random = Random::new(seed);
            let size = 1 + random.below(60);
            let program = Program::random(&mut random, size);
            let expected = program.run_serially();
            let plain = |leaf: &dyn Fn() -> u64| leaf();
            let timed = |run: &dyn Fn() -> u64, whose| {
                let begin = Instant::now();
                assert_eq!(run(), expected, "seed {seed} on {whose}");
                begin.elapsed()
            };
            // Each comes first as often as the others.
            let mut times = [Duration::ZERO; 3];
            for turn in 0..3 {
                let contender = (seed as usize + turn) % 3;
                times[contender] = match contender {
                    0 => timed(&|| stock.install(|| program.run(&plain)), "one stock thread"),
                    1 => timed(&|| sized.install(|| program.run(&plain)), "stock"),
                    _ => timed(&|| ours.install(|| program.run(&plain)), "ours"),
                };
                totals[contender] += times[contender];
            }
            let [on_stock, on_sized, on_ours] = times.map(|time| time.as_secs_f64() * 1e3);
            let [workers, tokens] = [workers, tokens].map(|number| number.to_string());
            let [stock_ms, sized_ms, ms] =
                [on_stock, on_sized, on_ours].map(|millis| format!("{millis:.3}"));
            raw.line(&[seed.to_string(), workers, tokens, stock_ms, sized_ms, ms]);
            sized_excesses.push((on_sized - on_stock, name.clone()));
            excesses.push((on_ours - on_stock, name));
        }
    }
    excesses.sort_unstable_by(|left, right| right.0.total_cmp(&left.0));
    let mut figures = Figures::default();
    figures.note("programs", excesses.len() as f64, "", ..);
    for (name, total) in
        ["all on one stock thread", "all on stock of tokens + 1 threads", "all on ours"]
            .iter()
            .zip(totals)
    {
        figures.note(*name, total.as_secs_f64() * 1e3, "ms", ..);
    }
    let over = |excesses: &[(f64, String)], millis: f64| {
        excesses.iter().filter(|(excess, _)| *excess > millis).count() as f64
    };
    let what = "slower than one stock thread by more than";
    for millis in [1.0, 5.0] {
        let name = format!("stock of tokens + 1 threads: {what} {millis} ms");
        figures.note(name, over(&sized_excesses, millis), "programs", ..);
    }
    figures.note(format!("{what} 1 ms"), over(&excesses, 1.0), "programs", ..);
    figures.note(format!("{what} 5 ms"), over(&excesses, 5.0), "programs", ..=0.0);
    for (excess, name) in excesses.iter().take(5) {
        println!("    {excess:+.3} ms: {name}");
    }
    if let Some(folder) = options.record() {
        raw.write(folder, "random_raw.csv")?;
    }
    Ok(figures.record(&options)?)
}
