//! Several processes on one budget, and how many jobs they ran at once.
//!
//! `budget [TOKENS] [--processes P] [--workers W] [--quick]` makes a budget of that many tokens (as
//! many as the machine has cores), starts copies of itself on it, and looks at their traces when
//! they have ended. A copy counts words as the example `wordcount` does, in wide phases by ordinary
//! rayon code and serial ones in between.

use std::error::Error;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::Instant;

use lexopt::Arg::{Long, Short, Value};
use lexopt::ValueExt;
use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

mod support;
#[path = "support/sweep.rs"]
mod sweep;

use support::files::sources;
use support::trace::Trace;
use support::words::Counts;
use sweep::Overlap;

const USAGE: &str = "usage: budget [TOKENS] [--processes P] [--workers W] [--quick]";

/// Files a wide phase reads, and phases of a process.
const PHASES: (usize, usize) = (400, 12);
const QUICK_PHASES: (usize, usize) = (100, 3);

struct Options {
    tokens: usize,
    processes: usize,
    workers: Option<usize>,
    quick: bool,
    /// Set for a copy: where its trace goes.
    copy: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("budget: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let Some(options) = arguments()? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    match &options.copy {
        Some(trace) => work(&options, trace).map(|()| ExitCode::SUCCESS),
        None => share(&options),
    }
}

/// What a copy does: wide phases and serial ones in turns.
fn work(options: &Options, trace: &Path) -> Result<(), Box<dyn Error>> {
    let builder = ThreadPoolBuilder::new().num_threads(options.width());
    // A job that waits for the disk runs as far as the count below can tell.
    builder.detect_blocking(None).build_global()?;
    if let Some(warning) = Jobserver::inherited().warning() {
        return Err(warning.to_string().into());
    }
    let trace = Trace::new(Some(trace.to_owned()));
    let (files, phases) = if options.quick { QUICK_PHASES } else { PHASES };
    let sources = sources().found;
    let mut total = Counts::default();
    for phase in sources.chunks(files).cycle().take(phases) {
        let counts = phase
            .par_iter()
            .fold(Counts::default, |counts, file| trace.job(|| counts.with_file(file)))
            .reduce(Counts::default, Counts::and);
        // Alone meanwhile: the tokens of the phase before are of use to the other processes.
        total = trace.job(|| total.and(counts));
    }
    trace.finish()?;
    match total.problems().first() {
        Some(problem) => Err(problem.as_str().into()),
        None => Ok(()),
    }
}

/// Starts the copies on one budget and looks at what they did.
fn share(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let Options { tokens, processes, .. } = *options;
    let jobserver = Jobserver::new(tokens);
    let folder = tempfile::tempdir()?;
    let begin = Instant::now();
    let copies = (0..processes).map(|number| {
        let trace = folder.path().join(number.to_string());
        start_copy(options, &jobserver, &trace).map(|copy| (copy, trace))
    });
    let mut copies = copies.collect::<Result<Vec<_>, _>>()?;
    let ends = copies.iter_mut().map(|(copy, _)| copy.wait()).collect::<Result<Vec<_>, _>>()?;
    let wall = begin.elapsed();
    if let Some(end) = ends.iter().find(|end| !end.success()) {
        return Err(format!("a process failed: {end}").into());
    }

    let (width, cores) = (options.width(), cores());
    println!("{tokens} tokens, {processes} processes of up to {width} workers, {cores} cores");
    println!("{:>8} {:>8} {:>9} {:>8} {:>10}", "process", "jobs", "at once", "mean", "seconds");
    let mut all = Vec::new();
    for (copy, trace) in copies {
        let own = sweep::read(&trace)?;
        print_row(copy.id(), sweep::sweep(own.iter().copied()));
        all.extend(own);
    }
    all.sort_unstable();
    let sum = sweep::sweep(all);
    print_row("sum", sum);

    let (back, bound) = (jobserver.available()?, tokens + processes);
    println!("{back} of {tokens} tokens came back");
    println!("{} of {bound} jobs at once: the tokens, and each process's own slot", sum.most);
    println!("{:.2} s wall time", wall.as_secs_f64());
    let kept = back == tokens && sum.most <= bound;
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_row(process: impl Display, overlap: Overlap) {
    let Overlap { jobs, most, mean, seconds } = overlap;
    println!("{process:>8} {jobs:>8} {most:>9} {mean:>8.2} {seconds:>10.2}");
}

fn start_copy(
    options: &Options,
    jobserver: &Jobserver,
    trace: &Path,
) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(options.tokens.to_string()).arg("--workers").arg(options.width().to_string());
    command.args(options.quick.then_some("--quick")).arg("--copy").arg(trace);
    jobserver.configure(&mut command)?;
    Ok(command.spawn()?)
}

impl Options {
    /// Workers of each process: unless told otherwise, as many as it could ever have funds for.
    fn width(&self) -> usize {
        // None at all means as many as there may be, as in rayon.
        self.workers.filter(|&workers| workers > 0).unwrap_or(self.tokens + 1)
    }
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What to do, or nothing if only help is wanted.
fn arguments() -> Result<Option<Options>, lexopt::Error> {
    let mut options =
        Options { tokens: cores(), processes: 4, workers: None, quick: false, copy: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("processes") => options.processes = parser.value()?.parse()?,
            Long("workers") => options.workers = Some(parser.value()?.parse()?),
            Long("quick") => options.quick = true,
            Long("copy") => options.copy = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(None),
            Value(tokens) => options.tokens = tokens.parse()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}
