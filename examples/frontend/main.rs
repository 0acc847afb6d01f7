//! A small parallel compiler front end: parses the crates of a lock file, resolves the names of
//! their types and answers queries about them on demand.
//!
//! `frontend [--workers N] [--tokens N] [--stats] [LOCKFILE]`; without a lock file it takes that of
//! this crate. A query is computed once, by whoever asks first; others wait for it and give their
//! token up meanwhile. What is printed is the same at every width. Started by make (with `+` on the
//! recipe) or cargo it runs only as wide as the build's jobserver lets it, unless `--tokens` gives
//! it a budget of its own.

mod queries;
mod source;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::Arg::{Long, Short, Value};
use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder, yield_token};

use queries::Queries;
use source::Workspace;

const USAGE: &str = "usage: frontend [--workers N] [--tokens N] [--stats] [LOCKFILE]";

struct Options {
    lock_file: PathBuf,
    workers: usize,
    tokens: Option<usize>,
    stats: bool,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("frontend: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let Some(options) = arguments()? else {
        println!("{USAGE}");
        return Ok(());
    };
    let workspace = Workspace::of(&options.lock_file)
        .map_err(|error| format!("{}: {error}", options.lock_file.display()))?;

    let jobserver = options.tokens.map_or_else(Jobserver::inherited, Jobserver::new);
    if let Some(warning) = jobserver.warning() {
        eprintln!("frontend: warning: {warning}");
    }
    let builder = ThreadPoolBuilder::new().num_threads(options.workers).jobserver(jobserver);
    let pool = builder.build()?;

    let queries = Queries::new(&workspace);
    let crates = 0..workspace.crates.len();
    let summary = |number| {
        // Between two crates others may have this worker's token, if it is their turn.
        yield_token();
        queries.summary(number)
    };
    let summaries: Vec<_> = pool.install(|| crates.into_par_iter().map(summary).collect());

    println!("{:>8} {:>9} {:>16}  crate", "types", "recursive", "extent");
    for summary in &summaries {
        println!("{summary}");
    }
    if options.stats {
        let stats = pool.stats();
        eprintln!(
            "{} at once at most; tokens given up by {} waits; {} lendings, {} overcommits",
            stats.peak, stats.absences, stats.lendings, stats.overcommits
        );
    }
    Ok(())
}

/// What is asked for, or nothing if only help is wanted.
fn arguments() -> Result<Option<Options>, lexopt::Error> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let mut options = Options { lock_file: own, workers: 0, tokens: None, stats: false };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("workers") => options.workers = lexopt::ValueExt::parse(&parser.value()?)?,
            Long("tokens") => options.tokens = Some(lexopt::ValueExt::parse(&parser.value()?)?),
            Long("stats") => options.stats = true,
            Short('h') | Long("help") => return Ok(None),
            Value(path) => options.lock_file = path.into(),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(options))
}
