//! A make below a program below make hears what the one above was told, beside the jobserver.

use std::process::Command;
use std::{env, fs};

use rayon_jobserver::Jobserver;

use crate::watchdog::output_of;
use crate::{makes, outside_builds, this_program};

/// Which makefile the inner make is for, and which make; set for the program between the two only.
const INNER: &str = "RAYON_JOBSERVER_TEST_INNER";
const MAKE: &str = "RAYON_JOBSERVER_TEST_MAKE";

#[test]
#[ignore = "what the other test has make run"]
fn between() {
    let Some(makefile) = env::var_os(INNER) else { return };
    let mut make = Command::new(env::var_os(MAKE).expect("set with the makefile"));
    make.arg("-f").arg(makefile);
    Jobserver::inherited().configure_make(&mut make).expect("it is make's");
    assert!(make.status().expect("make can be started").success());
}

/// Once it heard of the jobserver alone, and built what nobody had asked for.
#[test]
fn it_keeps_the_options_and_variables_of_the_one_above() {
    for (make, version) in makes() {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let [outer, inner] = ["outer", "inner"].map(|name| folder.path().join(name));
        let line = "@\"$$TEST_PROGRAM\" --ignored --exact below::between --nocapture";
        fs::write(&outer, format!("all:\n\t+{line}\n")).expect("the makefile can be written");
        let says =
            "V = 3\nall:\n\t@echo V is $(V) and $(findstring k,$(firstword -$(MAKEFLAGS)))\n";
        fs::write(&inner, says).expect("the makefile can be written");
        let mut command = outside_builds(&make.program);
        command.env("TEST_PROGRAM", this_program()).env(INNER, &inner).env(MAKE, &make.program);
        command.arg("-f").arg(&outer).args(["-k", "-j3", "V=5"]);
        command.args(make.style.map(|style| format!("--jobserver-style={style}")));
        let output = output_of(command);
        let [stdout, stderr] = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let context = format!("make {version}, {:?}: {stdout}\n{stderr}", make.style);
        assert!(output.status.success(), "{context}");
        assert!(stdout.contains("V is 5 and k"), "{context}");
        assert_eq!(stderr, "", "a make without a jobserver would say so: {context}");
    }
}
