//! A make that is started beside the pools, and configured, shares their jobserver.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Stdio};

use rayon_jobserver::Jobserver;

use super::stage::{Stage, Thing};
use super::watchdog::output_of;
use super::{CARGO, MAKE, MFLAGS, again, is_again, makes, on_an_inherited_pipe, output, told};

/// Runs each make, with a recipe that must find so many tokens and give make nothing to complain
/// about.
fn assert_makes_find(jobserver: &Jobserver, tokens: usize) {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let makefile = folder.path().join("Makefile");
    let text = "all:\n\t+@\"$$TEST_PROGRAM\" --ignored --exact tell --nocapture\n";
    fs::write(&makefile, text).expect("the makefile can be written");
    for make in makes() {
        // The recipe sees make's own variables alone.
        for variable in [CARGO, MAKE] {
            let tell = again("tell");
            let mut command = Command::new(&make);
            // Those of this process would hide what make was told.
            command.env_remove(MFLAGS).env_remove("MAKELEVEL").stdin(Stdio::null());
            command.env("TEST_PROGRAM", tell.get_program()).arg("-f").arg(&makefile);
            jobserver.configure_make(&mut command).expect("there is room");
            if variable == MAKE {
                command.env_remove(CARGO);
            }
            let output = output_of(command);
            let said = String::from_utf8_lossy(&output.stdout);
            let complaints = String::from_utf8_lossy(&output.stderr);
            let context = format!("{} by {variable}: {said}\n{complaints}", make.display());
            assert!(said.contains(&format!("told: tokens {tokens}\n")), "{context}");
            assert_eq!(complaints, "", "{context}");
        }
    }
}

#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn run_makes() {
    if !is_again() {
        return;
    }
    let jobserver = Jobserver::from_env().expect("it is good").expect("it is there");
    assert_makes_find(&jobserver, 3);
}

#[test]
fn a_make_shares_an_inherited_pipe() {
    on_an_inherited_pipe("nested::run_makes");
}

#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn tell_by_each_variable() {
    if !is_again() {
        return;
    }
    let jobserver = Jobserver::from_env().expect("it is good").expect("it is there");
    for alone in [CARGO, MAKE, MFLAGS] {
        let mut command = again("tell");
        jobserver.configure_make(&mut command).expect("a fifo has a name");
        for other in [CARGO, MAKE, MFLAGS].into_iter().filter(|other| *other != alone) {
            command.env_remove(other);
        }
        // A child need not run where its parent does.
        command.current_dir("/");
        assert_eq!(told(command), "tokens 3", "by {alone}");
    }
    assert_eq!(jobserver.available().expect("it is a fifo"), 3);
}

#[test]
fn the_name_of_a_fifo_is_passed_on_as_it_is() {
    // As make escapes them; and below the folder that the process runs in.
    let names: [(&[u8], &[u8]); 5] = [
        (b"plain", b"plain"),
        (b"a b/c\td", b"a\\ b/c\\\td"),
        (b"a\\b\\ c", b"a\\\\b\\\\\\ c"),
        (b"\xff", b"\xff"),
        (b"$a$$", b"$a$$"),
    ];
    for (name, escaped) in names {
        let mut stage = Stage::new();
        stage.put_in_folder(name, &Thing::Fifo(3));
        let mut command = again("nested::tell_by_each_variable");
        let flags = [b" -j4 --jobserver-auth=fifo:", escaped].concat();
        command.env(MAKE, OsString::from_vec(flags)).current_dir(stage.folder());
        output(command);
    }
}

#[test]
fn a_make_shares_a_budget() {
    if is_again() {
        return assert_makes_find(&Jobserver::new(3), 3);
    }
    output(again("nested::a_make_shares_a_budget"));
}
