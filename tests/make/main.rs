//! Real make as the jobserver, and a referee who counts the bytes of its tokens back.
//!
//! Recipes run this very program again: the test [`recipe`] does nothing unless it is one. Its jobs
//! only sleep, so that widths beyond this machine's cores can be seen.

#![cfg(unix)]

mod below;
mod cargo;
mod ninja;

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use std::{env, iter, thread};

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
use tempfile::TempDir;

#[path = "../../examples/support/sweep.rs"]
mod sweep;
#[path = "../../examples/support/trace.rs"]
mod trace;
#[path = "../common/watchdog.rs"]
mod watchdog;

use sweep::Overlap;
use trace::Trace;
use watchdog::{must_end, output_of};

/// Where a recipe's trace goes; set for recipes only.
const TRACE: &str = "RAYON_JOBSERVER_TEST_TRACE";
/// How many leaves a recipe has.
const LEAVES: &str = "RAYON_JOBSERVER_TEST_LEAVES";
const RECIPES: usize = 4;
const WORKERS: usize = 8;
/// As many as take a worker 150 ms, so that the recipes of one make overlap for certain.
const LEAVES_A_WORKER: usize = 100;

/// A leaf that waits in place of a core this machine lacks.
fn virtual_core() {
    thread::sleep(Duration::from_micros(1_500)); // a leaf, not a wait for anything
}

#[test]
#[ignore = "what the other tests have make, cargo and ninja run"]
fn recipe() {
    let Some(file) = env::var_os(TRACE) else { return };
    let leaves = env::var(LEAVES).expect("set with the trace").parse().expect("a number");
    // Leaves sleep in place of cores.
    let builder = ThreadPoolBuilder::new().detect_blocking(None);
    builder.build_global().expect("this process has no pool yet");
    if let Some(warning) = Jobserver::inherited().warning() {
        // In one write, since the recipes of one make share its standard error.
        let line = format!("{warning}\n");
        io::stderr().write_all(line.as_bytes()).expect("make reads it");
    }
    let trace = Trace::new(Some(file.into()));
    let done = (0..leaves).into_par_iter().with_max_len(1).map(|leaf: usize| {
        trace.job(virtual_core);
        leaf
    });
    assert_eq!(done.sum::<usize>(), leaves * (leaves - 1) / 2);
    trace.finish().expect("the trace can be written");
}

/// A command that hears of no build around this test.
fn outside_builds(program: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(program.into());
    for inherited in ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"] {
        command.env_remove(inherited);
    }
    command
}

/// The command that runs [`recipe`] again, once it is told about a jobserver.
fn rerun(program: impl Into<PathBuf>, trace: &Path, workers: usize, leaves: usize) -> Command {
    let mut command = outside_builds(program);
    command.env(TRACE, trace).env(LEAVES, leaves.to_string());
    command.env("RAYON_NUM_THREADS", workers.to_string());
    command
}

fn this_program() -> PathBuf {
    env::current_exe().expect("the test knows its own program")
}

/// What the recipes of `trace` ran at once.
fn overlap(trace: &Path) -> Overlap {
    sweep::sweep(sweep::read(trace).expect("the recipes have written their trace"))
}

/// One make, and one way it may pass its jobserver on.
#[derive(Clone, Debug)]
struct Make {
    program: PathBuf,
    /// `--jobserver-style`, for those that have a choice: 4.4 and later.
    style: Option<&'static str>,
}

/// The system's make, and 4.4.1 where `.ci/run` has put it, with the version of each.
fn makes() -> Vec<(Make, String)> {
    let newer = env::var_os("RAYON_JOBSERVER_MAKE441").map(PathBuf::from);
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/venv/bin/make");
    let newer = newer.or_else(|| local.exists().then_some(local));
    let programs = [Some(PathBuf::from("make")), newer].into_iter().flatten();
    let makes = programs.flat_map(|program| {
        let output = Command::new(&program).arg("--version").output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let said = String::from_utf8_lossy(&output.stdout);
        let first = said.lines().next().unwrap_or_default().to_owned();
        let version = first.strip_prefix("GNU Make ").expect("make is GNU make").to_owned();
        let styles: &[_] =
            if has_styles(&version) { &[Some("fifo"), Some("pipe")] } else { &[None] };
        let make = move |&style| (Make { program: program.clone(), style }, version.clone());
        styles.iter().map(make).collect::<Vec<_>>()
    });
    makes.collect()
}

fn has_styles(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(4), Some(4))
}

/// How a make with four recipes went.
struct Ran {
    output: Output,
    trace: PathBuf,
    _folder: TempDir,
}

impl Make {
    /// Runs four recipes at `-j jobs`; `prefix` stands before each recipe's line.
    fn run(&self, jobs: usize, prefix: &str) -> Ran {
        let (command, folder) = self.command(jobs, prefix);
        let output = output_of(command);
        Ran { output, trace: folder.path().join("trace"), _folder: folder }
    }

    /// The command that does so, and the folder where it finds its makefile.
    fn command(&self, jobs: usize, prefix: &str) -> (Command, TempDir) {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let makefile = folder.path().join("Makefile");
        let goals: Vec<_> = (0..RECIPES).map(|number| format!("goal{number}")).collect();
        let goals = goals.join(" ");
        let line = format!("{prefix}@\"$$TEST_PROGRAM\" --ignored --exact recipe --nocapture");
        let text = format!("all: {goals}\n{goals}:\n\t{line}\n.PHONY: all {goals}\n");
        fs::write(&makefile, text).expect("the makefile can be written");

        let trace = folder.path().join("trace");
        let mut command = rerun(&self.program, &trace, WORKERS, jobs * LEAVES_A_WORKER);
        command.env("TEST_PROGRAM", this_program());
        command.arg("-f").arg(&makefile).arg(format!("-j{jobs}"));
        command.args(self.style.map(|style| format!("--jobserver-style={style}")));
        (command, folder)
    }
}

impl Ran {
    /// What make and its recipes complained about, after all of them ended well.
    fn complaints(&self, context: &str) -> String {
        let stdout = String::from_utf8_lossy(&self.output.stdout);
        let stderr = String::from_utf8_lossy(&self.output.stderr);
        assert!(self.output.status.success(), "{context}:\n{stdout}\n{stderr}");
        assert_eq!(stdout.matches("1 passed").count(), RECIPES, "{context}:\n{stdout}");
        stderr.into_owned()
    }
}

#[test]
fn recipes_together_run_exactly_as_wide_as_make_allows() {
    for (make, version) in makes() {
        for jobs in [1, 2, 8] {
            let context = format!("make {version}, {:?}, -j{jobs}", make.style);
            let ran = make.run(jobs, "+");
            // make tells of lost and surplus tokens here, and exits with 0 all the same.
            assert_eq!(ran.complaints(&context), "", "{context}");
            let overlap = overlap(&ran.trace);
            assert_eq!(overlap.jobs, RECIPES * jobs * LEAVES_A_WORKER, "{context}");
            assert_eq!(overlap.most, jobs, "{context}");
        }
    }
}

#[test]
fn recipes_without_plus_are_warned_where_make_leaves_a_broken_jobserver() {
    for (make, version) in makes() {
        let context = format!("make {version}, {:?}, no `+`", make.style);
        let ran = make.run(2, "");
        let complaints = ran.complaints(&context);
        let warnings = complaints.matches("unusable jobserver in MAKEFLAGS=").count();
        match make.style {
            // The descriptors are named, and closed.
            None => assert_eq!(warnings, RECIPES, "{context}: {complaints}"),
            // A named fifo is open to all.
            Some("fifo") => {
                assert_eq!(complaints, "", "{context}");
                assert_eq!(overlap(&ran.trace).most, 2, "{context}");
            }
            // Said to be off, by descriptors -2,-2.
            Some(_) => assert_eq!(complaints, "", "{context}"),
        }
        assert_eq!(overlap(&ran.trace).jobs, RECIPES * 2 * LEAVES_A_WORKER, "{context}");
    }
}

/// What a recipe prints when it begins.
const BEGINS: &str = "running 1 test";

/// Nobody gives back the tokens that make held for its recipes, and nobody closes the jobserver, whose
/// ends the recipes hold themselves: they wait for tokens until they end.
#[test]
fn recipes_end_on_their_own_slots_after_make_was_killed() {
    for (make, version) in makes() {
        let context = format!("make {version}, {:?}", make.style);
        must_end(&context.clone(), move || orphan_recipes(&make, &context));
    }
}

fn orphan_recipes(make: &Make, context: &str) {
    let (mut command, folder) = make.command(2, "+");
    let mut make = command.stdout(Stdio::piped()).spawn().expect("make can be started");
    let mut lines = BufReader::new(make.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().map(|line| line.expect("a test prints text"));
    let begins = |line: &String| line.contains(BEGINS);
    let mut said = Vec::new();
    while !said.last().is_some_and(begins) {
        said.push(next().expect("a recipe begins"));
    }
    make.kill().expect("it is our child");
    make.wait().expect("it is our child");
    // To the end of the last recipe that has begun.
    said.extend(iter::from_fn(next));
    // What two print at once may share a line.
    let count = |what| said.iter().map(|line| line.matches(what).count()).sum::<usize>();
    let (begun, passed) = (count(BEGINS), count("1 passed"));
    assert_eq!(passed, begun, "{context}: {said:?}");
    let overlap = overlap(&folder.path().join("trace"));
    assert_eq!(overlap.jobs, begun * 2 * LEAVES_A_WORKER, "{context}");
    assert!(overlap.most <= 2, "{context}: {overlap:?}");
}

/// One of each, so that a byte which comes back as another is noticed; make would not notice.
const TOKENS: &[u8] = b"abcdefghijklmnop";

/// Runs a recipe on the referee's tokens, with more workers than there are tokens: when it ends, it
/// still waits for one.
fn run_on_tokens(mut command: Command, flags: &str, trace: &Path) {
    command.env("MAKEFLAGS", flags);
    let output = output_of(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{flags}: {stderr}");
    assert_eq!(stderr, "", "{flags}");
    assert_eq!(overlap(trace).most, TOKENS.len() + 1, "{flags}");
}

fn assert_all_came_back(mut jobserver: impl Read, what: &str) {
    let mut bytes = Vec::new();
    if let Err(error) = jobserver.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "the {what} is empty: {error}");
    }
    bytes.sort_unstable();
    let [expected, found] = [TOKENS, &bytes].map(String::from_utf8_lossy);
    assert_eq!(found, expected, "through a {what}");
}

#[test]
fn every_byte_comes_back_once_through_a_pipe() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let trace = folder.path().join("trace");
    let (read, mut write) = io::pipe().expect("a pipe can be made");
    write.write_all(TOKENS).expect("a pipe holds 16 bytes");

    // A shell gives the descriptors their numbers: what Rust opens is closed in a child.
    let script =
        r#"exec 8<&0 9>&1 </dev/null >/dev/null; exec "$0" --ignored --exact recipe --nocapture"#;
    let leaves = (TOKENS.len() + 1) * LEAVES_A_WORKER;
    let mut command = rerun("sh", &trace, 2 * TOKENS.len(), leaves);
    command.arg("-c").arg(script).arg(this_program());
    command.stdin(read.try_clone().expect("a descriptor is to be had")).stdout(write);
    run_on_tokens(command, "-j --jobserver-auth=8,9", &trace);
    assert_all_came_back(read, "pipe");
}

/// A fifo with the referee's tokens in it.
fn referee(fifo: &Path) -> File {
    let made = Command::new("mkfifo").arg(fifo).status().expect("mkfifo can be started");
    assert!(made.success(), "mkfifo: {made}");
    // Both ends at once, so that neither is waited for; and what is empty says so.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let referee = File::options().read(true).write(true).custom_flags(flags).open(fifo);
    let mut referee = referee.expect("the fifo can be opened");
    referee.write_all(TOKENS).expect("a fifo holds 16 bytes");
    referee
}

/// Whether system calls can be made to fail here: `strace` is there and may trace.
fn faults_can_be_injected() -> bool {
    let traced = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output();
    traced.is_ok_and(|output| output.status.success())
}

#[test]
fn every_byte_comes_back_once_although_reads_and_writes_fail() {
    if !faults_can_be_injected() {
        eprintln!("skipped: no strace that may trace");
        return;
    }
    // Counted for each thread by itself.
    let faults = [
        "read:error=EINTR:when=1..3",
        "read:error=EAGAIN:when=1..2",
        "read:error=EIO:when=3",
        "write:error=EINTR:when=1..2",
        "write:error=EAGAIN:when=1..2",
        "write:error=EIO:when=1",
    ];
    for fault in faults {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let [trace, fifo, log] = ["trace", "fifo", "log"].map(|name| folder.path().join(name));
        let referee = referee(&fifo);
        let mut command = rerun("strace", &trace, 2 * TOKENS.len(), 1_000);
        command.args(["-f", "-qq", "-e", "trace=read,write", "-P"]).arg(&fifo).arg("-o").arg(&log);
        command.arg(format!("--inject={fault}")).arg(this_program());
        command.args(["--ignored", "--exact", "recipe", "--nocapture"]);
        command.env("MAKEFLAGS", format!("-j --jobserver-auth=fifo:{}", fifo.display()));
        let output = output_of(command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{fault}: {stderr}");
        assert_eq!(stderr, "", "{fault}");
        assert_eq!(overlap(&trace).jobs, 1_000, "{fault}");
        let log = fs::read_to_string(log).expect("strace has written its log");
        assert!(log.contains("(INJECTED)"), "{fault}: nothing failed:\n{log}");
        assert_all_came_back(referee, fault);
    }
}

#[test]
fn every_byte_comes_back_once_through_a_fifo() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let (trace, fifo) = (folder.path().join("trace"), folder.path().join("fifo"));
    let referee = referee(&fifo);
    let leaves = (TOKENS.len() + 1) * LEAVES_A_WORKER;
    let mut command = rerun(this_program(), &trace, 2 * TOKENS.len(), leaves);
    command.args(["--ignored", "--exact", "recipe", "--nocapture"]);
    run_on_tokens(command, &format!("-j --jobserver-auth=fifo:{}", fifo.display()), &trace);
    assert_all_came_back(referee, "fifo");
}

/// Each with a pool as wide as a machine of 16 cores, which would be 256 threads at once.
#[test]
fn sixteen_processes_of_sixteen_workers_share_one_budget() {
    const PROCESSES: usize = 16;
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let (trace, fifo) = (folder.path().join("trace"), folder.path().join("fifo"));
    let referee = referee(&fifo);
    let ends = (0..PROCESSES).map(|_| {
        let mut command = rerun(this_program(), &trace, 16, LEAVES_A_WORKER);
        command.args(["--ignored", "--exact", "recipe", "--nocapture"]);
        command.env("MAKEFLAGS", format!("-j --jobserver-auth=fifo:{}", fifo.display()));
        thread::spawn(|| output_of(command))
    });
    for end in ends.collect::<Vec<_>>() {
        let output = end.join().expect("it ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    }
    let overlap = overlap(&trace);
    assert_eq!(overlap.jobs, PROCESSES * LEAVES_A_WORKER);
    // Each has its own slot besides.
    assert!(overlap.most <= TOKENS.len() + PROCESSES, "{overlap:?}");
    assert!(overlap.most > PROCESSES, "nobody used a token: {overlap:?}");
    assert_all_came_back(referee, "fifo of sixteen");
}
