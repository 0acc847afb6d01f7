//! One of the processes.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder, Token};

use crate::leaf::Leaf;
use crate::packing::Mode;
use crate::phases::Phases;
use crate::trace::Trace;

/// Set in a child, to what follows.
pub(crate) const CHILD: &str = "BENCH_CHILD";

/// What a child is told by its parent, as words between spaces.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) mode: Mode,
    pub(crate) leaf: Leaf,
    pub(crate) alike: bool,
    pub(crate) quick: bool,
    /// The process's number among its siblings.
    pub(crate) number: usize,
    /// Threads of its pool, or workers, or the most that tokens are taken for.
    pub(crate) threads: usize,
    /// Where its stamps go.
    pub(crate) trace: PathBuf,
}

impl Task {
    pub(crate) fn to_words(&self) -> String {
        let Task { mode, leaf, alike, quick, number, threads, trace } = self;
        let (mode, leaf, trace) = (mode.name(), leaf.name(), trace.display());
        format!("{mode} {leaf} {alike} {quick} {number} {threads} {trace}")
    }

    fn parse(words: &str) -> Option<Self> {
        let mut words = words.splitn(7, ' ');
        let mode = words.next()?;
        let leaf = words.next()?;
        Some(Task {
            mode: Mode::ALL.into_iter().find(|known| known.name() == mode)?,
            leaf: [Leaf::Compute, Leaf::Sleep].into_iter().find(|known| known.name() == leaf)?,
            alike: words.next()?.parse().ok()?,
            quick: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            threads: words.next()?.parse().ok()?,
            trace: words.next()?.into(),
        })
    }
}

/// Does its work, and prints how many tokens it took and how many milliseconds that lasted.
pub(crate) fn run(words: &str) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let task = Task::parse(words).ok_or("a task from another program")?;
    let jobserver = Jobserver::inherited();
    if let Some(warning) = jobserver.warning() {
        return Err(warning.to_string().into());
    }
    let mut kept: Vec<Token> = Vec::new();
    match task.mode {
        Mode::Ours | Mode::Bare => {
            let builder = ThreadPoolBuilder::new().num_threads(task.threads);
            match task.leaf {
                Leaf::Compute => builder.build_global()?,
                // It stands for a core that computes, and must not count as blocked.
                Leaf::Sleep => builder.detect_blocking(None).build_global()?,
            }
        }
        Mode::Oversubscribed | Mode::Split => stock(task.threads)?,
        Mode::Sized => {
            kept.extend((1..task.threads).map_while(|_| jobserver.try_acquire()));
            stock(1 + kept.len())?;
        }
    }
    let phases = Phases::of(task.leaf, task.alike, task.number, task.quick);
    let trace = Trace::new(Some(task.trace));
    let work = || {
        for _ in 0..phases.rounds {
            trace.job(|| phases.leaf.run_alone(phases.serial));
            let leaves = (0..phases.leaves).into_par_iter().with_max_len(1);
            leaves.for_each(|_| trace.job(|| phases.leaf.run(phases.time)));
        }
    };
    match task.mode {
        Mode::Ours => rayon_jobserver::scope(|_| work()),
        _ => rayon::scope(|_| work()),
    }
    drop(kept);
    println!("{} {}", jobserver.taken(), begin.elapsed().as_secs_f64() * 1e3);
    Ok(trace.finish()?)
}

fn stock(threads: usize) -> Result<(), Box<dyn Error>> {
    Ok(rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?)
}
