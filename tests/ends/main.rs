//! However a process ends, its tokens come back, as the bytes they were.
//!
//! The ends of real processes: this program starts itself again, with a `main` of its own, under a
//! referee. So it has no test harness; like one, it takes parts of tests' names, but no options save those that
//! say how to run and to print.

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
    let mut wanted = Vec::new();
    let mut list = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--list" => list = true,
            "--test-threads" => drop(args.next()),
            "--nocapture" | "--no-capture" | "--show-output" | "-q" | "--quiet" => {}
            known if known.starts_with("--test-threads=") => {}
            unknown if unknown.starts_with('-') => {
                eprintln!("no option of these tests: {unknown}");
                return std::process::ExitCode::FAILURE;
            }
            part => wanted.push(part.to_owned()),
        }
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|it| name.contains(it));
    let mut count = 0;
    for (name, test) in tests::ALL.iter().filter(|(name, _)| is_wanted(name)) {
        count += 1;
        if list {
            println!("{name}: test");
        } else {
            println!("test {name} ...");
            test();
        }
    }
    if !list {
        println!("{count} of {} ends tested", tests::ALL.len());
    }
    std::process::ExitCode::SUCCESS
}

#[cfg(not(unix))]
fn main() {}
