//! Tests that need a process of their own: its environment, its threads or its global pool.

use std::process::{Command, Output, Stdio};
use std::{env, io, thread};

use crate::support::watchdog::output_of;

/// Set in the process that runs one test alone.
const ALONE: &str = "RAYON_JOBSERVER_TEST_ALONE";

/// Whether this is the process that [`alone`] has started.
pub(crate) fn is_alone() -> bool {
    env::var_os(ALONE).is_some()
}

/// Runs `test`, by its full name, in a process of its own with these variables and no jobserver
/// about, and tells how it went. Call it unless the process [is alone](is_alone) already.
pub(crate) fn alone(test: &str, variables: &[(&str, &str)]) -> Output {
    let program = env::current_exe().expect("the test knows its own program");
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    for inherited in ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"] {
        command.env_remove(inherited);
    }
    for inherited in ["RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"] {
        command.env_remove(inherited);
    }
    command.envs(variables.iter().copied()).env(ALONE, "1");
    command.stdin(Stdio::null());
    output_of(command)
}

/// Runs `body` in a process of its own, under the name of the test that calls this, and fails if
/// it fails there.
pub(crate) fn in_own_process(test: &str, variables: &[(&str, &str)], body: impl FnOnce()) {
    if is_alone() {
        return body();
    }
    let output = alone(test, variables);
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test} with {variables:?}:\n{said}\n{complained}");
    assert!(said.contains("1 passed"), "no test is called {test}:\n{said}");
}

/// The threads of this process, by the kernel's number.
#[cfg(target_os = "linux")]
pub(crate) fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("proc is mounted");
    tasks.filter_map(|task| task.ok()?.file_name().into_string().ok()).collect()
}

/// How often each thread but the current one has gone to sleep, or been told to make way.
#[cfg(target_os = "linux")]
pub(crate) fn switches_of_others() -> io::Result<Vec<(String, String)>> {
    let own = std::fs::read_link("/proc/thread-self")?;
    let own = own.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let others = threads().into_iter().filter(|thread| Some(thread) != own.as_ref());
    let mut switches = others
        .map(|thread| {
            let status = std::fs::read_to_string(format!("/proc/self/task/{thread}/status"))?;
            let lines = status.lines().filter(|line| line.contains("ctxt_switches:"));
            Ok((thread, lines.collect::<Vec<_>>().join(" ")))
        })
        .collect::<io::Result<Vec<_>>>()?;
    switches.sort();
    Ok(switches)
}

/// The number of threads this machine can run at once.
pub(crate) fn parallelism() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
