//! However a process ends, its tokens come back, as the bytes they were.
//!
//! The ends of real processes: this program starts itself again, with a `main` of its own, under a
//! referee. So it has no test harness but one that is called.

#![cfg_attr(not(target_os = "linux"), allow(unused))]

#[cfg(target_os = "linux")]
mod program;
#[cfg(target_os = "linux")]
mod referee;
#[cfg(target_os = "linux")]
mod tests;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if let Some(ending) = program::Ending::told() {
        return program::run(ending);
    }
    let mut arguments = libtest_mimic::Arguments::from_args();
    // Each starts as many processes as are good at once.
    arguments.test_threads = Some(1);
    let ends = tests::ALL.iter().map(|&(name, test)| {
        libtest_mimic::Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&arguments, ends.collect()).exit_code()
}

#[cfg(not(target_os = "linux"))]
fn main() {}
