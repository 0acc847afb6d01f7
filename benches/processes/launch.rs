//! Starts the processes of a row, waits for them, and collects what they say.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rayon_jobserver::Jobserver;

use crate::child::{CHILD, Task};
use crate::leaf;

/// What a process tells: the tokens that it took, and its milliseconds.
pub(crate) type Told = (f64, f64);

/// Starts all at once on a budget of so many tokens.
pub(crate) fn at_once(
    tasks: &[Task],
    tokens: usize,
    speed: f64,
) -> Result<Vec<Told>, Box<dyn Error>> {
    let jobserver = Jobserver::new(tokens);
    let start = |task: &Task| -> Result<Child, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(CHILD, task.to_words());
        prepare(&mut command, speed);
        jobserver.configure(&mut command)?;
        Ok(command.spawn()?)
    };
    let children = tasks.iter().map(start).collect::<Result<Vec<_>, _>>()?;
    let ended = children.into_iter().map(Child::wait_with_output);
    let ended = ended.collect::<Result<Vec<_>, _>>()?;
    let told = ended.iter().map(told).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(jobserver.available()?, tokens, "every token came back");
    Ok(told.concat())
}

/// Has GNU make start each as one of its `jobs`, once it has a slot for it.
pub(crate) fn by_make(
    tasks: &[Task],
    jobs: usize,
    speed: f64,
    folder: &Path,
) -> Result<Vec<Told>, Box<dyn Error>> {
    let goals: Vec<_> = (0..tasks.len()).map(|number| format!("goal{number}")).collect();
    let program = std::env::current_exe()?;
    let (all, program) = (goals.join(" "), program.display());
    let mut text = format!("all: {all}\n.PHONY: all {all}\n{all}:\n\t+@\"{program}\"\n");
    for (goal, task) in goals.iter().zip(tasks) {
        writeln!(text, "{goal}: export {CHILD} = {}", task.to_words())?;
    }
    let makefile = folder.join("Makefile");
    fs::write(&makefile, text)?;

    let mut command = Command::new("make");
    command.arg("-f").arg(&makefile).arg(format!("-j{jobs}")).arg("--no-print-directory");
    for variable in ["MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS", "MAKELEVEL"] {
        command.env_remove(variable);
    }
    prepare(&mut command, speed);
    let output = command.output()?;
    // It tells of tokens that are missing or too many, and ends well all the same.
    assert!(output.stderr.is_empty(), "make: {}", String::from_utf8_lossy(&output.stderr));
    told(&output)
}

fn prepare(command: &mut Command, speed: f64) {
    command.env(leaf::SPEED, speed.to_string()).env_remove("RAYON_NUM_THREADS");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// What processes have printed, a line each.
fn told(output: &Output) -> Result<Vec<Told>, Box<dyn Error>> {
    assert!(output.status.success(), "a process failed: {output:?}");
    let line = |line: &str| -> Result<Told, Box<dyn Error>> {
        let (taken, millis) = line.split_once(' ').ok_or("a process said something else")?;
        Ok((taken.parse()?, millis.parse()?))
    };
    str::from_utf8(&output.stdout)?.lines().map(line).collect()
}
