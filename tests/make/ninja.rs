//! ninja between make and our programs: it is a client of the same jobserver, and hands its environment on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::watchdog::output_of;
use crate::{LEAVES_A_WORKER, Make, RECIPES, Ran, WORKERS, makes, overlap, rerun, this_program};

/// One that knows of jobservers, 1.13 or later, the system's or where `.ci/run` has put it; and whether it is
/// the build that knows of pipes, too.
fn ninja() -> Option<(PathBuf, bool)> {
    let local = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/venv/bin/ninja");
    [local, PathBuf::from("ninja")].into_iter().find_map(|program| {
        let output = Command::new(&program).arg("--version").output().ok()?;
        let version = String::from_utf8_lossy(&output.stdout);
        let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
        let is_client = (numbers.next(), numbers.next()) >= (Some(1), Some(13));
        is_client.then(|| (program, version.contains("jobserver-pipe")))
    })
}

#[test]
fn programs_that_ninja_starts_run_exactly_as_wide_as_make_allows() {
    let Some((ninja, pipes)) = ninja() else {
        eprintln!("skipped: no ninja 1.13");
        return;
    };
    for (make, version) in makes() {
        if !pipes && make.style != Some("fifo") {
            eprintln!("skipped: make {version}, {:?}", make.style);
            continue;
        }
        for jobs in [2, 8] {
            let context = format!("make {version}, {:?}, -j{jobs}", make.style);
            let ran = run(&make, &ninja, jobs);
            let complaints = ran.complaints(&context);
            // It would rather have a fifo.
            let others = complaints
                .lines()
                .filter(|line| !line.starts_with("ninja: warning: Jobserver 'pipe'"));
            assert_eq!(others.collect::<Vec<_>>(), [""; 0], "{context}");
            let overlap = overlap(&ran.trace);
            assert_eq!(overlap.jobs, RECIPES * jobs * LEAVES_A_WORKER, "{context}");
            assert_eq!(overlap.most, jobs, "{context}");
        }
    }
}

/// Has make run ninja, and that the recipes.
fn run(make: &Make, ninja: &Path, jobs: usize) -> Ran {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let [makefile, rules, trace] =
        ["Makefile", "build.ninja", "trace"].map(|name| folder.path().join(name));
    let line = format!("+@\"{}\" -C \"{}\"", ninja.display(), folder.path().display());
    fs::write(&makefile, format!("all:\n\t{line}\n")).expect("the makefile can be written");
    let line = format!("\"{}\" --ignored --exact recipe --nocapture", this_program().display());
    let goals: String = (0..RECIPES).map(|number| format!("build goal{number}: run\n")).collect();
    let text = format!("rule run\n  command = {line}\n{goals}");
    fs::write(&rules, text).expect("ninja's rules can be written");

    let mut command = rerun(&make.program, &trace, WORKERS, jobs * LEAVES_A_WORKER);
    command.arg("-f").arg(&makefile).arg(format!("-j{jobs}"));
    command.args(make.style.map(|style| format!("--jobserver-style={style}")));
    let output = output_of(command);
    Ran { output, trace, _folder: folder }
}
