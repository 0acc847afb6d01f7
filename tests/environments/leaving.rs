//! make ends when its recipes have, though something that they started lives on.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use rayon_jobserver::Jobserver;

use super::flags::use_a_token;
use super::stage::{Stage, Thing};
use super::watchdog::{WATCHDOG, output_of};
use super::{again, is_again, makes};

/// Where the fifos lie that tie the survivor to the test.
const FOLDER: &str = "RAYON_JOBSERVER_TEST_FOLDER";

/// What a recipe runs in the background: a program that uses the jobserver, leaves a child behind,
/// and lets the recipe end.
#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn leave_a_survivor() {
    if !is_again() {
        return;
    }
    let jobserver = Jobserver::from_env().expect("it is good").expect("it is there");
    use_a_token(&jobserver);
    // It lives until the test closes the leash, and echoes what the test says.
    let mut survivor = Command::new("sh");
    survivor.args(["-c", r#"exec cat "$0/leash" >"$0/echo""#]);
    survivor.arg(env::var_os(FOLDER).expect("set for recipes"));
    survivor.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[expect(clippy::zombie_processes, reason = "it is to outlive this process")]
    survivor.spawn().expect("sh can be started");
    // A pool that is dropped gives back in its own time, and make must not end before.
    let begin = Instant::now();
    while jobserver.held() > 0 {
        assert!(begin.elapsed() < WATCHDOG, "a token is kept");
        thread::yield_now();
    }
    drop(jobserver);
    let ready = Path::new(&env::var_os(FOLDER).expect("set for recipes")).join("ready");
    fs::write(ready, "ready\n").expect("the recipe waits for it");
}

/// The makes, with the styles each of them has.
fn styles() -> impl Iterator<Item = (PathBuf, &'static [&'static str])> {
    let of = |(number, make): (usize, PathBuf)| {
        let styles: &[&[_]] = match number {
            0 => &[&[]],
            _ => &[&["--jobserver-style=fifo"], &["--jobserver-style=pipe"]],
        };
        styles.iter().map(move |style| (make.clone(), *style))
    };
    makes().into_iter().enumerate().flat_map(of)
}

fn run_make(make: &Path, style: &[&str], folder: &Path) -> Command {
    let makefile = folder.join("Makefile");
    let program = r#""$$TEST_PROGRAM" --ignored --exact leaving::leave_a_survivor"#;
    let text =
        format!("all:\n\t+@{program} >$$TEST_LOG 2>&1 & read ready <{}/ready\n", folder.display());
    fs::write(&makefile, text).expect("the makefile can be written");
    let tests = again("");
    let mut command = Command::new(make);
    for (variable, value) in tests.get_envs() {
        match value {
            Some(value) => command.env(variable, value),
            None => command.env_remove(variable),
        };
    }
    command.env("TEST_PROGRAM", tests.get_program()).env("TEST_LOG", folder.join("log"));
    command.arg("-f").arg(makefile).arg("-j4").args(style).env(FOLDER, folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn open(fifo: &Path) -> File {
    // Both ends at once, so that neither is waited for.
    File::options().read(true).write(true).open(fifo).expect("it has just been made")
}

#[test]
fn make_ends_before_what_a_recipe_leaves_behind() {
    for (make, style) in styles() {
        let context = format!("{} {style:?}", make.display());
        let mut stage = Stage::new();
        for fifo in ["leash", "echo", "ready"] {
            stage.put_in_folder(fifo.as_bytes(), &Thing::Fifo(0));
        }
        let folder = stage.folder();
        let mut leash = open(&folder.join("leash"));
        let mut echo = open(&folder.join("echo"));
        let output = output_of(run_make(&make, style, folder));
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{context}: {complaints}\n{log}");
        // make tells of lost and surplus tokens here.
        assert_eq!(complaints, "", "{context}");

        // What was left behind is alive still.
        leash.write_all(b"!").expect("it is a fifo");
        let mut said = [0];
        echo.read_exact(&mut said).expect("it is a fifo");
        assert_eq!(&said, b"!", "{context}");
    }
}
