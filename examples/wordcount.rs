//! Counts the lines and words of files, in parallel, by ordinary rayon code.
//!
//! `wordcount [--trace FILE] [FILE|FOLDER]...`; without a path it counts the Rust sources of this
//! crate and of those that cargo has unpacked. Started by make (with `+` on the recipe), cargo or
//! ninja, it runs only as wide as the build's jobserver lets it.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::Arg::{Long, Short, Value};
use rayon::prelude::*;
use rayon_jobserver::Jobserver;

mod support;

use support::files::{Files, sources};
use support::trace::Trace;
use support::words::Counts;

const USAGE: &str = "usage: wordcount [--trace FILE] [FILE|FOLDER]...";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("wordcount: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    let Some((files, trace)) = arguments()? else {
        println!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };

    // The one line that makes all of rayon below follow the jobserver.
    rayon_jobserver::ThreadPoolBuilder::new().build_global()?;

    // Not needed to run, but whoever wrote the makefile will want to know.
    if let Some(warning) = Jobserver::inherited().warning() {
        eprintln!("wordcount: warning: {warning}");
    }

    let counts = files
        .found
        .par_iter()
        .fold(Counts::default, |counts, file| trace.job(|| counts.with_file(file)))
        .reduce(Counts::default, Counts::and);
    trace.finish()?;

    print!("{counts}");
    let problems: Vec<_> = files.problems.iter().chain(counts.problems()).collect();
    problems.iter().for_each(|problem| eprintln!("wordcount: {problem}"));
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What to count and where to trace it, or nothing if only help is wanted.
fn arguments() -> Result<Option<(Files, Trace)>, lexopt::Error> {
    let (mut paths, mut trace) = (Vec::<PathBuf>::new(), None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("trace") => trace = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(None),
            Value(path) => paths.push(path.into()),
            other => return Err(other.unexpected()),
        }
    }
    let files = if paths.is_empty() { sources() } else { Files::under(paths) };
    Ok(Some((files, Trace::new(trace))))
}
