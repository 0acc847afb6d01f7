//! What environments mean: recorded ones and made-up ones, each in a process of its own that finds
//! its descriptors and files as the case says; and what is passed on to children, and what is not.

#![cfg(target_os = "linux")]

mod budgets;
mod children;
mod flags;
mod leaving;
mod made;
mod nested;
mod recorded;
mod stage;
#[path = "../common/watchdog.rs"]
mod watchdog;

use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rayon_jobserver::Jobserver;
use stage::{Stage, Thing};
use watchdog::output_of;

/// Set in the process that tells what it finds.
const CASE: &str = "RAYON_JOBSERVER_TEST_CASE";

const CARGO: &str = "CARGO_MAKEFLAGS";
const MAKE: &str = "MAKEFLAGS";
const MFLAGS: &str = "MFLAGS";

/// An environment and what it means.
#[derive(Debug)]
struct Case {
    /// What it was recorded from, or what it is about.
    what: &'static str,
    /// The folder `/tmp/` in a value is the case's own.
    variables: &'static [(&'static str, &'static [u8])],
    /// All that is there: other descriptors above 2 are closed.
    things: &'static [(Place, Thing)],
    expected: Expected,
}

/// Where a thing is found.
#[derive(Debug)]
enum Place {
    At(i32),
    /// A path below the case's own `/tmp/`.
    Named(&'static [u8]),
}

#[derive(Debug)]
enum Expected {
    /// There is no jobserver, or it is off.
    Nothing,
    /// A jobserver where so many tokens lie.
    Tokens(usize),
    /// An error that names a variable, its value, and this.
    Error(&'static str, &'static str),
}

/// A budget of the own slot alone.
const ALONE: Expected = Expected::Tokens(0);

/// Whether this is a process that [`again`] has started.
fn is_again() -> bool {
    env::var_os(CASE).is_some()
}

/// The command that runs one test of this program, which does nothing unless it is run so.
fn again(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the test knows its program"));
    command
        .args(["--include-ignored", "--exact", test, "--nocapture"])
        .env(CASE, "1")
        .stdin(Stdio::null());
    for variable in [CARGO, MAKE, MFLAGS, "MAKELEVEL"] {
        command.env_remove(variable);
    }
    command
}

/// Runs such a command, and returns all that it printed.
fn output(command: Command) -> String {
    let what = format!("{command:?}");
    let output = output_of(command);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}:\n{said}\n{complained}");
    assert!(said.contains("1 passed"), "{what} is no test:\n{said}");
    said
}

/// Runs a test of this program on a pipe of three tokens that it inherits, as make passes one on.
fn on_an_inherited_pipe(test: &str) {
    let mut stage = Stage::new();
    stage.put_at(3, &Thing::Reader(3));
    stage.put_at(4, &Thing::Writer(3));
    let mut command = again(test);
    command.env(MAKE, " -j4 --jobserver-auth=3,4");
    stage.enter(&mut command);
    output(command);
}

/// What [`tell`] told when it was run by this command.
fn told(command: Command) -> String {
    let said = output(command);
    let mut lines = said.lines().filter_map(|line| line.strip_prefix("told: "));
    lines.next().unwrap_or_else(|| panic!("nothing was told:\n{said}")).to_owned()
}

/// The system's make, and 4.4.1 where `.ci/run` has put it.
fn makes() -> Vec<PathBuf> {
    let newer = env::var_os("RAYON_JOBSERVER_MAKE441").map(PathBuf::from);
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/venv/bin/make");
    let newer = newer.or_else(|| local.exists().then_some(local));
    [Some(PathBuf::from("make")), newer].into_iter().flatten().collect()
}

#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn tell() {
    if !is_again() {
        return;
    }
    let told = match Jobserver::from_env() {
        Ok(None) => "nothing".to_owned(),
        Ok(Some(jobserver)) => match jobserver.available() {
            Ok(tokens) => format!("tokens {tokens}"),
            Err(error) => format!("tokens unknown: {error}"),
        },
        Err(error) => {
            let variable = error.variable().expect("the environment is wrong");
            format!("error in {variable}: {error}")
        }
    };
    println!("\ntold: {told}");
}

impl Case {
    /// Stages the case, and returns what a process finds there.
    fn play(&self) -> String {
        let mut stage = Stage::new();
        for (place, thing) in self.things {
            match place {
                Place::At(number) => stage.put_at(*number, thing),
                Place::Named(path) => stage.put_in_folder(path, thing),
            }
        }
        let mut command = again("tell");
        for (variable, value) in self.variables {
            command.env(variable, OsString::from_vec(stage.relocate(value)));
        }
        let before = stage.look();
        stage.enter(&mut command);
        let told = told(command);
        assert_eq!(stage.look(), before, "{}: something was changed", self.what);
        told
    }

    /// What is wrong with what was told.
    fn fault(&self, told: &str) -> Option<String> {
        let right = match self.expected {
            Expected::Nothing => told == "nothing",
            Expected::Tokens(tokens) => told == format!("tokens {tokens}"),
            Expected::Error(variable, fragment) => {
                let start = format!("error in {variable}: unusable jobserver in {variable}=\"");
                told.starts_with(&start) && told.contains(fragment)
            }
        };
        (!right).then(|| format!("{}: expected {:?}, told: {told}", self.what, self.expected))
    }
}

#[test]
fn every_environment_means_what_it_should() {
    let cases: Vec<_> = recorded::CASES.iter().chain(made::CASES).collect();
    assert!(cases.len() >= 100, "only {} environments", cases.len());
    let faults: Vec<_> = cases.iter().filter_map(|case| case.fault(&case.play())).collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
}
