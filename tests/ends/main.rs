//! However a process ends, its tokens come back, as the bytes they were.
//!
//! The ends of real processes: this program starts itself again, with a `main` of its own, under a
//! referee. So it has no test harness; like one, it takes a part of a test's name.

#![cfg_attr(not(unix), allow(unused))]

#[cfg(unix)]
mod program;
#[cfg(unix)]
mod referee;
#[cfg(unix)]
mod tests;

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    if let Some(ending) = program::Ending::told() {
        return program::run(ending);
    }
    let wanted: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (name, test) in tests::ALL {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            println!("test {name} ...");
            test();
        }
    }
    std::process::ExitCode::SUCCESS
}

#[cfg(not(unix))]
fn main() {}
