//! Budgets that are passed on to a child: it finds exactly what is there.

use rayon_jobserver::Jobserver;

use super::{again, is_again, output, told};

fn child_finds(jobserver: &Jobserver, make: bool) -> String {
    let mut command = again("tell");
    let configured = if make {
        jobserver.configure_make(&mut command)
    } else {
        jobserver.configure(&mut command)
    };
    configured.expect("so many tokens fit into a pipe");
    told(command)
}

#[test]
fn a_child_finds_as_many_tokens_as_the_limit() {
    for limit in [0, 1, 65_000] {
        let jobserver = Jobserver::new(limit);
        for make in [false, true] {
            assert_eq!(child_finds(&jobserver, make), format!("tokens {limit}"), "make: {make}");
        }
        assert_eq!(jobserver.available().expect("it is a pipe"), limit);
    }
}

#[test]
fn a_child_finds_what_is_not_held() {
    let jobserver = Jobserver::new(5);
    let held = [jobserver.acquire(), jobserver.acquire()];
    assert_eq!(child_finds(&jobserver, false), "tokens 3");
    drop(held);
    assert_eq!(child_finds(&jobserver, false), "tokens 5");
}

/// A pipe uses a page again only when all of it was read, so that it is full with fewer tokens than
/// it has bytes.
#[test]
fn a_large_budget_has_room_wherever_its_tokens_lie() {
    let jobserver = Jobserver::new(65_000);
    // Held by the time the pipe is made: what comes back needs room too.
    let held: Vec<_> = (0..30_000).map(|_| jobserver.acquire()).collect();
    assert_eq!(child_finds(&jobserver, false), "tokens 35000");
    drop(held);
    for _ in 0..3 {
        let held: Vec<_> = (0..3_000).map(|_| jobserver.acquire()).collect();
        drop(held);
        assert_eq!(jobserver.held(), 0, "each found room at once");
    }
    assert_eq!(jobserver.available().expect("it is a pipe"), 65_000);
    assert_eq!(jobserver.losses(), 0);
}

fn assert_too_large(limit: usize) {
    let jobserver = Jobserver::new(limit);
    for _ in 0..2 {
        let error = jobserver.configure(&mut again("tell")).expect_err("no pipe holds so many");
        let message = error.to_string();
        let expected = format!("cannot pass on the jobserver: {limit} tokens do not fit");
        assert!(message.starts_with(&expected), "{message}");
    }
    // It goes on as it was.
    let token = jobserver.acquire();
    assert_eq!(jobserver.available().expect("no pipe"), limit - 1);
    drop(token);
    assert_eq!(jobserver.available().expect("no pipe"), limit);
}

#[test]
fn a_budget_beyond_any_pipe_is_refused_by_its_number() {
    assert_too_large(3_000_000_000);
}

/// Pipes that use up all the pages an ordinary user has for them; those to come are small.
fn use_up_pages() -> Vec<(std::io::PipeReader, std::io::PipeWriter)> {
    const LARGE: usize = 1 << 20;
    const USUAL: usize = 16 * 4096;
    let mut pipes = Vec::new();
    let mut enlarge = true;
    loop {
        assert!(pipes.len() < 1_000, "no limit in sight");
        let (read, write) = std::io::pipe().expect("there are descriptors enough");
        enlarge = enlarge && rustix::pipe::fcntl_setpipe_size(&write, LARGE).is_ok();
        let size = rustix::pipe::fcntl_getpipe_size(&write).expect("it is a pipe");
        pipes.push((read, write));
        if size < USUAL {
            return pipes;
        }
    }
}

#[test]
#[ignore = "the other tests run it, each in an environment of its own"]
fn pass_on_without_pages() {
    if !is_again() {
        return;
    }
    if rustix::process::getuid().is_root() {
        // SAFETY: one system call. Nothing here relies on who the process is.
        let changed = unsafe { libc::setuid(65_534) };
        assert_eq!(changed, 0, "root may become anybody");
    }
    let pipes = use_up_pages();
    assert_too_large(65_000);
    // Small ones are there for all, down to two pages.
    assert_eq!(child_of_small(), 4_000);
    drop(pipes);
}

fn child_of_small() -> usize {
    let jobserver = Jobserver::new(4_000);
    jobserver.configure(&mut again("tell")).expect("two pages are enough");
    jobserver.available().expect("it is a pipe")
}

#[test]
fn a_budget_is_refused_when_the_system_has_no_pages_for_it() {
    let soft = std::fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft");
    let unlimited = soft.is_ok_and(|pages| pages.trim() == "0");
    if !unlimited {
        output(again("budgets::pass_on_without_pages"));
    }
}
