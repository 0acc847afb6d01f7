//! Children have a jobserver's descriptors if they were configured to have them, and only then.

use std::fs;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

use super::stage::{Stage, Thing};
use super::{CARGO, MAKE, again, is_again, on_an_inherited_pipe, output, told};

const CHILDREN: usize = 1_000;

/// Whether the child of this number is configured.
fn is_configured(number: usize) -> bool {
    number % 100 == 50
}

/// Starts children from all workers of a pool, and returns what each of them has open.
fn spawn(jobserver: &Jobserver) -> Vec<String> {
    let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone()).build();
    let children = (0..CHILDREN).into_par_iter().with_max_len(1).map(|number| {
        let mut command = Command::new("ls");
        command.args(["-l", "/proc/self/fd"]);
        if is_configured(number) {
            jobserver.configure(&mut command).expect("there is room for three tokens");
        }
        let output = command.output().expect("ls can be started");
        String::from_utf8(output.stdout).expect("nothing odd is open")
    });
    pool.expect("threads can be started").install(|| children.collect())
}

/// What the pipe is called that a child is told of.
fn pipe(jobserver: &Jobserver) -> String {
    let mut command = Command::new("true");
    jobserver.configure(&mut command).expect("it has been configured before");
    let mut variables = command.get_envs();
    let (_, flags) = variables.find(|(name, _)| *name == CARGO).expect("it is told");
    let flags = String::from_utf8_lossy(flags.expect("it is set").as_bytes()).into_owned();
    let (_, ends) = flags.rsplit_once("--jobserver-auth=").expect("it is named");
    let (read, _) = ends.split_once(',').expect("by descriptors");
    let read: RawFd = read.parse().expect("which are numbers");
    // SAFETY: the jobserver keeps its descriptors open.
    let read = unsafe { BorrowedFd::borrow_raw(read) };
    format!("pipe:[{}]", rustix::fs::fstat(read).expect("it is open").st_ino)
}

/// `name` is what the jobserver is called among open files.
fn assert_configured_alone(listings: &[String], name: &str, ends: usize) {
    assert_eq!(listings.len(), CHILDREN);
    for (number, listing) in listings.iter().enumerate() {
        let expected = if is_configured(number) { ends } else { 0 };
        assert_eq!(listing.matches(name).count(), expected, "child {number}:\n{listing}");
        assert!(!listing.contains("eventpoll"), "child {number}:\n{listing}");
    }
}

#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn spawn_on_a_pipe() {
    if !is_again() {
        return;
    }
    let jobserver = Jobserver::from_env().expect("it is good").expect("it is there");
    let listings = spawn(&jobserver);
    assert_configured_alone(&listings, &pipe(&jobserver), 2);
}

#[test]
fn an_inherited_pipe_is_kept_from_children() {
    on_an_inherited_pipe("children::spawn_on_a_pipe");
}

#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn spawn_on_a_fifo() {
    if !is_again() {
        return;
    }
    let jobserver = Jobserver::from_env().expect("it is good").expect("it is there");
    let listings = spawn(&jobserver);
    let own = fs::read_dir("/proc/self/fd").expect("proc is mounted");
    let own = own.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let is_fifo = |path: &std::path::PathBuf| path.ends_with("fifo-of-the-test");
    assert_eq!(own.filter(is_fifo).count(), 2, "the name is the right one");
    // Those who are configured open it by its name.
    assert_configured_alone(&listings, "fifo-of-the-test", 0);
}

#[test]
fn a_fifo_is_kept_from_children() {
    let mut stage = Stage::new();
    stage.put_in_folder(b"fifo-of-the-test", &Thing::Fifo(3));
    let mut command = again("children::spawn_on_a_fifo");
    stage.enter(&mut command);
    let flags = stage.relocate(b" -j4 --jobserver-auth=fifo:/tmp/fifo-of-the-test");
    output({
        command.env(MAKE, String::from_utf8(flags).expect("it is ASCII"));
        command
    });
}

#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn spawn_on_a_budget() {
    if !is_again() {
        return;
    }
    // It becomes real by the first of the children that are configured, among the others.
    let jobserver = Jobserver::new(3);
    let listings = spawn(&jobserver);
    assert_configured_alone(&listings, &pipe(&jobserver), 2);
}

#[test]
fn a_budget_that_becomes_real_is_kept_from_other_children() {
    output(again("children::spawn_on_a_budget"));
}

#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn configure_by_a_client() {
    if !is_again() {
        return;
    }
    // SAFETY: the stage has opened both ends, and nothing in this process closes them.
    let client = unsafe { jobserver::Client::from_env() }.expect("it is there");
    let jobserver = Jobserver::from_client(client);
    // A library that connects for itself, and keeps the descriptors from children.
    let library = Jobserver::from_env().expect("it is good").expect("it is there");
    for jobserver in [jobserver, library] {
        let mut command = again("tell");
        jobserver.configure(&mut command).expect("they are open");
        assert_eq!(told(command), "tokens 3");
    }
}

#[test]
fn children_have_what_they_are_told_of_by_a_client_beside_other_connections() {
    on_an_inherited_pipe("children::configure_by_a_client");
}
