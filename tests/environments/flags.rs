//! What a connection leaves as it is, and the one thing it does not.

use std::os::fd::AsRawFd;
use std::sync::Barrier;

use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
use rustix::io::FdFlags;

use super::stage::{Stage, Thing};
use super::{MAKE, again, is_again, output};

/// Runs a pool that cannot finish without a token.
pub(crate) fn use_a_token(jobserver: &Jobserver) {
    let builder = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone());
    // Else the fund of whoever waits first is lent, and no token is needed.
    let pool = builder.detect_blocking(None).build();
    let both = Barrier::new(2);
    pool.expect("threads can be started").join(|| both.wait(), || both.wait());
    assert!(jobserver.taken() > 0, "it ran on the own slot alone");
}

#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn run_on_3_and_4() {
    if !is_again() {
        return;
    }
    let [read, write] = [3, 4].map(|number| {
        // SAFETY: the stage has opened it, and nothing in this process closes it.
        unsafe { std::os::fd::BorrowedFd::borrow_raw(number) }
    });
    let flags = || {
        [read, write].map(|end| {
            let shared = rustix::fs::fcntl_getfl(end).expect("it is open");
            (shared, rustix::io::fcntl_getfd(end).expect("it is open"))
        })
    };
    let before = flags();
    let jobserver = Jobserver::from_env().expect("it is good").expect("it is there");
    use_a_token(&jobserver);
    drop(jobserver);
    // Subtle: closed on exec is what this process's own descriptor is, and no other's.
    assert_eq!(flags(), before.map(|(shared, _)| (shared, FdFlags::CLOEXEC)));
}

#[test]
fn descriptions_that_others_share_stay_as_they_are() {
    // make 4.3 and ninja make their ends non-blocking, cargo does not.
    for nonblocking in [[false, false], [true, false], [true, true]] {
        let mut stage = Stage::new();
        stage.put_at(3, &Thing::Reader(3));
        stage.put_at(4, &Thing::Writer(3));
        stage.make_nonblocking(nonblocking);
        let before = stage.look();
        let mut command = again("flags::run_on_3_and_4");
        command.env(MAKE, " -j4 --jobserver-auth=3,4");
        stage.enter(&mut command);
        output(command);
        assert_eq!(stage.look(), before, "non-blocking {nonblocking:?}");
    }
}

/// make 4.3 names the descriptors that it has closed for a recipe without `+`, and these are the first numbers to be
/// had.
#[test]
fn a_pipe_that_the_program_has_opened_under_the_same_numbers_is_no_jobserver() {
    if !is_again() {
        let mut command = again(
            "flags::a_pipe_that_the_program_has_opened_under_the_same_numbers_is_no_jobserver",
        );
        command.env(MAKE, " -j4 --jobserver-auth=3,4");
        output(command);
        return;
    }
    let (read, write) = std::io::pipe().expect("a pipe");
    assert_eq!((read.as_raw_fd(), write.as_raw_fd()), (3, 4), "they are not the first");
    let error = Jobserver::from_env().expect_err("it is the program's").to_string();
    assert!(error.contains("descriptor 3 was not inherited"), "{error}");
    let auth = " -j4 --jobserver-auth=3,4 --";
    // SAFETY: the other threads of this process wait for the test.
    unsafe { std::env::set_var(MAKE, auth) };
    let named = Jobserver::from_env().expect("the program says so").expect("it is there");
    assert_eq!(named.available().expect("it is a pipe"), 0);
}
