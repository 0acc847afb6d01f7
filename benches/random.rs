//! Random fork-join programs on a starved pool beside one stock thread: by how much is any slower?
//!
//! `cargo bench --bench random -- 10000` runs that many programs (default 1,000).

#[path = "../tests/common/program.rs"]
mod program;

use std::time::{Duration, Instant};

use program::{Program, Random};
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

const PER_POOL: u64 = 10;

fn main() {
    let count = std::env::args().find_map(|arg| arg.parse::<u64>().ok()).unwrap_or(1_000);
    let stock = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("one thread");
    let mut excesses = Vec::new();
    let (mut stock_total, mut our_total) = (Duration::ZERO, Duration::ZERO);
    for group in 0..count.div_ceil(PER_POOL) {
        let mut random = Random::new(group);
        let workers = 1 + random.below(48) as usize;
        let tokens = random.below(workers as u64 + 1) as usize;
        let jobserver = Jobserver::new(tokens);
        let ours = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver);
        let ours = ours.detect_blocking(None).build();
        let ours = ours.expect("a pool of at most 48 threads");
        for seed in group * PER_POOL..(group + 1) * PER_POOL {
            let mut random = Random::new(seed);
            let size = 1 + random.below(60);
            let program = Program::random(&mut random, size);
            let expected = program.run_serially();
            let plain = |leaf: &dyn Fn() -> u64| leaf();
            let begin = Instant::now();
            assert_eq!(stock.install(|| program.run(&plain)), expected, "seed {seed} on stock");
            let on_stock = begin.elapsed();
            let begin = Instant::now();
            let result = ours.install(|| program.run(&plain));
            let on_ours = begin.elapsed();
            assert_eq!(result, expected, "seed {seed} on ours");
            stock_total += on_stock;
            our_total += on_ours;
            let excess = on_ours.as_secs_f64() - on_stock.as_secs_f64();
            excesses.push((excess * 1e3, seed, workers, tokens));
        }
    }
    excesses.sort_unstable_by(|left, right| right.0.total_cmp(&left.0));
    let over = |bound: f64| excesses.iter().filter(|(excess, ..)| *excess > bound).count();
    println!("{} programs; one stock thread {stock_total:?}, ours {our_total:?}", excesses.len());
    for bound in [1.0, 5.0, 20.0] {
        println!("slower than one stock thread by more than {bound} ms: {}", over(bound));
    }
    for (excess, seed, workers, tokens) in excesses.iter().take(5) {
        println!("  +{excess:.3} ms: seed {seed}, {workers} workers, {tokens} tokens");
    }
}
