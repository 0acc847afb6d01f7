//! Random fork-join programs on a starved pool beside one stock thread: by how much is any slower?
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
    let mut raw = Table::new(&["seed", "workers", "tokens", "stock_ms", "ms"]);
    let (mut stock_total, mut our_total) = (Duration::ZERO, Duration::ZERO);
    for group in 0..if options.quick { QUICK_POOLS } else { POOLS } {
        let mut random = Random::new(group);
        let workers = 1 + random.below(48) as usize;
        let tokens = random.below(workers as u64 + 1) as usize;
        let jobserver = Jobserver::new(tokens);
        let ours = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver);
        let ours = ours.detect_blocking(None).build()?;
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
            let on_stock = || {
                let begin = Instant::now();
                assert_eq!(stock.install(|| program.run(&plain)), expected, "seed {seed} on stock");
                begin.elapsed()
            };
            let on_ours = || {
                let begin = Instant::now();
                assert_eq!(ours.install(|| program.run(&plain)), expected, "seed {seed} on ours");
                begin.elapsed()
            };
            // Each comes first as often as the other.
            let (on_stock, on_ours) = if seed % 2 == 0 {
                let on_stock = on_stock();
                (on_stock, on_ours())
            } else {
                let on_ours = on_ours();
                (on_stock(), on_ours)
            };
            stock_total += on_stock;
            our_total += on_ours;
            let [on_stock, on_ours] = [on_stock, on_ours].map(|time| time.as_secs_f64() * 1e3);
            let [workers, tokens] = [workers, tokens].map(|number| number.to_string());
            let [stock_ms, ms] = [on_stock, on_ours].map(|millis| format!("{millis:.3}"));
            raw.line(&[seed.to_string(), workers, tokens, stock_ms, ms]);
            excesses.push((on_ours - on_stock, name));
        }
    }
    excesses.sort_unstable_by(|left, right| right.0.total_cmp(&left.0));
    let mut figures = Figures::default();
    figures.note("programs", excesses.len() as f64, "", ..);
    figures.note("all on one stock thread", stock_total.as_secs_f64() * 1e3, "ms", ..);
    figures.note("all on ours", our_total.as_secs_f64() * 1e3, "ms", ..);
    let over = |millis: f64| excesses.iter().filter(|(excess, _)| *excess > millis).count() as f64;
    let what = "slower than one stock thread by more than";
    figures.note(format!("{what} 1 ms"), over(1.0), "programs", ..);
    figures.note(format!("{what} 5 ms"), over(5.0), "programs", ..=0.0);
    for (excess, name) in excesses.iter().take(5) {
        println!("    {excess:+.3} ms: {name}");
    }
    if let Some(folder) = options.record() {
        raw.write(folder, "random_raw.csv")?;
    }
    Ok(figures.record(&options)?)
}
