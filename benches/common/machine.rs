//! What the results of a record were measured on, and by which code.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::thread;

/// Writes `machine.csv` into the folder: one property a line.
pub(crate) fn describe(folder: &Path, quick: bool) -> io::Result<()> {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let properties = [
        ("cores", cores.to_string()),
        ("cpu", cpu()),
        ("kernel", file("/proc/sys/kernel/osrelease")),
        ("load before", file("/proc/loadavg")),
        ("cores' time taken by the host since boot", stolen()),
        ("rustc", output("rustc", &["--version"])),
        ("commit", output("git", &["describe", "--always", "--dirty", "--abbrev=12"])),
        ("rounds", if quick { "few (--quick)" } else { "full" }.to_owned()),
    ];
    let lines = properties.map(|(name, value)| format!("{name},{}\n", value.replace(',', ";")));
    fs::create_dir_all(folder)?;
    fs::write(folder.join("machine.csv"), lines.concat())
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
