//! Ours beside stock rayon of the same width, in the same run.
//!
//! `cargo bench --bench ratio` prints a table: workers, tokens, medians, their ratio (above 1 we
//! lose), and how often a worker was admitted and a probe posted. Leaves marked `Virtual` sleep in
//! place of cores that the machine lacks. An argument filters the rows by name.

mod harness;
mod work;

use std::time::Duration;

use harness::{Shape, Work, header, row};
use work::{Join, Leaf, Phases, Sections, Sort};

fn main() {
    let filter: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let us = Duration::from_micros;
    let ms = Duration::from_millis;
    let (compute, sleep) = (Leaf::Compute, Leaf::Virtual);
    let join = |leaf, leaves_per_worker, leaf_time| {
        Box::new(Join { leaf, leaves_per_worker, leaf_time }) as Box<dyn Work>
    };
    let phases = |leaf, phases, serial, leaves, leaf_time| {
        Box::new(Phases { leaf, phases, serial, leaves, leaf_time }) as Box<dyn Work>
    };
    let sections = |sections, time| Box::new(Sections { sections, time }) as Box<dyn Work>;

    // The work, the shapes (workers, tokens), and the rounds.
    type Row = (Box<dyn Work>, Vec<(usize, usize)>, usize);
    let rows: Vec<Row> = vec![
        (join(compute, 512, us(20)), vec![(2, 1), (16, 1)], 31),
        (join(compute, 512, us(150)), vec![(2, 1), (16, 1)], 11),
        (Box::new(Sort(4_000_000)), vec![(2, 1), (16, 1)], 11),
        (join(sleep, 32, us(600)), vec![(16, 15), (64, 63), (16, 3), (64, 7), (256, 31)], 11),
        (sections(3000, us(16)), vec![(2, 1), (16, 1)], 61),
        (sections(300, us(200)), vec![(2, 1), (16, 1)], 31),
        (phases(compute, 100, us(300), 32, us(20)), vec![(2, 1), (16, 1)], 11),
        (phases(sleep, 20, ms(3), 2, ms(1)), vec![(16, 15), (16, 3), (64, 63), (64, 7)], 9),
        (phases(sleep, 200, us(200), 1, us(200)), vec![(16, 15), (16, 3)], 9),
    ];
    header();
    for (work, shapes, rounds) in rows {
        let name = work.name();
        if !filter.is_empty() && !filter.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        for (workers, tokens) in shapes {
            row(&*work, Shape { workers, tokens }, rounds);
        }
    }
}
