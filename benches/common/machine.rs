//! What the results of a record were measured on, and by which code.

use std::fs;
use std::io;
use std::process::Command;
use std::thread;

use crate::args::Options;

/// Each bench is a crate of its own.
const BENCH: &str = env!("CARGO_CRATE_NAME");

/// Notes in `machine.csv` of the record, if there is to be one, what this bench meets before it measures
/// anything: a bench, a property and its value a line. What other benches have met stays there.
pub(crate) fn describe(options: &Options) -> io::Result<()> {
    let Some(folder) = options.record() else { return Ok(()) };
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let properties = [
        ("cores", cores.to_string()),
        ("cpu", cpu()),
        ("kernel", file("/proc/sys/kernel/osrelease")),
        ("load before", file("/proc/loadavg")),
        ("cores' time taken by the host since boot", stolen()),
        ("rustc", output("rustc", &["--version"])),
        ("commit", commit()),
        ("rounds", if options.quick { "few (--quick)" } else { "full" }.to_owned()),
    ];
    fs::create_dir_all(folder)?;
    let path = folder.join("machine.csv");
    let before = if path.try_exists()? { fs::read_to_string(&path)? } else { String::new() };
    let ours = format!("{BENCH},");
    let others =
        before.lines().filter(|line| !line.starts_with(&ours)).map(|line| format!("{line}\n"));
    let lines =
        properties.map(|(name, value)| format!("{ours}{name},{}\n", value.replace(',', ";")));
    fs::write(path, others.chain(lines).collect::<String>())
}

/// The last one, and whether anything that is measured or measures was changed since. The record itself is
/// no such thing.
fn commit() -> String {
    let sources =
        ["src", "benches/*.rs", "examples/support", "tests/common", "Cargo.toml", "Cargo.lock"];
    let compare = ["diff", "--quiet", "HEAD", "--"];
    let same = Command::new("git").args(compare).args(sources).status();
    let last = output("git", &["rev-parse", "--short=12", "HEAD"]);
    if same.is_ok_and(|same| same.success()) { last } else { format!("{last}-dirty") }
}

fn cpu() -> String {
    let all = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = all.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(unknown, |(_, model)| model.to_owned())
}

/// Of all cores' time: idle, used and stolen.
fn stolen() -> String {
    let all = fs::read_to_string("/proc/stat").unwrap_or_default();
    let times = all.lines().next().unwrap_or_default().split_whitespace().skip(1);
    // The eighth is what was stolen; the two after it are counted in earlier ones.
    let times: Vec<f64> = times.take(8).map_while(|ticks| ticks.parse().ok()).collect();
    let Some(stolen) = times.get(7) else { return unknown() };
    format!("{:.1} %", 100.0 * stolen / times.iter().sum::<f64>())
}

fn file(path: &str) -> String {
    fs::read_to_string(path).map_or_else(|_| unknown(), |text| text.trim().to_owned())
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(unknown, |text| text.trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
