//! Random fork-join programs: the results of a serial run, within the budget, and an end.
//!
//! `RANDOM_PROGRAMS=first..last` runs other seeds than the default ones; a failure names its seed.

#[path = "../common/program.rs"]
pub(crate) mod program;

use std::ops::Range;
use std::sync::Arc;

use crate::support::{Gauge, eventually, must_end, pool};
use program::{Program, Random};

/// Programs that share a pool, some of them at the same time.
const PER_POOL: u64 = 10;

/// The seeds that a variable names, or else these.
pub(crate) fn seeds(variable: &str, default: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var(variable) else { return default };
    let range = text
        .split_once("..")
        .and_then(|(first, last)| Some(first.parse().ok()?..last.parse().ok()?));
    range.unwrap_or_else(|| panic!("{variable} is {text:?}, not first..last"))
}

fn run_group(first: u64, last: u64) {
    let mut random = Random::new(first);
    let workers = 1 + random.below(48) as usize;
    let tokens = random.below(workers as u64 + 1) as usize;
    let pool = pool(workers, tokens);
    let gauge = Arc::new(Gauge::default());
    let run = &|seed: u64| {
        let mut random = Random::new(seed);
        let size = 1 + random.below(60);
        let program = Program::random(&mut random, size);
        let expected = program.run_serially();
        let result = pool.install(|| program.run(&|leaf| gauge.leaf(leaf)));
        assert_eq!(result, expected, "seed {seed}: {workers} workers, {tokens} tokens");
    };
    std::thread::scope(|scope| {
        let alongside = random.below(2) == 0;
        let middle = first + (last - first) / 2;
        if alongside {
            scope.spawn(move || (first..middle).for_each(run));
        } else {
            (first..middle).for_each(run);
        }
        (middle..last).for_each(run);
    });
    let most = gauge.most();
    assert!(
        most <= workers.min(tokens + 1),
        "seeds {first}..{last}: {most} at once of {workers} workers on {tokens} tokens"
    );
    eventually("tokens come back", || pool.jobserver().held() == 0);
}

#[test]
fn random_programs_end_with_the_right_result_within_the_budget() {
    let seeds = seeds("RANDOM_PROGRAMS", 0..2_000);
    let mut first = seeds.start;
    while first < seeds.end {
        let last = (first + PER_POOL).min(seeds.end);
        must_end(&format!("seeds {first}..{last}"), move || run_group(first, last));
        first = last;
    }
}
