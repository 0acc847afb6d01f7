//! cargo as the jobserver: it runs build scripts, and passes its tokens on to what they start.

use std::fs;
use std::path::Path;

use crate::watchdog::output_of;
use crate::{LEAVES_A_WORKER, WORKERS, overlap, rerun, this_program};

/// Runs the recipe.
const SCRIPT: &str = r#"
fn main() {
    let program = std::env::var_os("TEST_PROGRAM").expect("set for cargo");
    let arguments = ["--ignored", "--exact", "recipe", "--nocapture"];
    let status = std::process::Command::new(program).args(arguments).status();
    assert!(status.expect("the recipe can be started").success());
}
"#;

const PACKAGES: [&str; 2] = ["one", "other"];

/// A package whose build script that is.
fn package(folder: &Path, name: &str) {
    let package = folder.join(name);
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n");
    fs::create_dir_all(package.join("src")).expect("a folder can be made");
    for (file, text) in [("Cargo.toml", &*manifest), ("build.rs", SCRIPT), ("src/lib.rs", "")] {
        fs::write(package.join(file), text).expect("a package can be written");
    }
}

#[test]
fn programs_that_build_scripts_start_run_as_wide_as_cargo_allows() {
    for jobs in [1, 5] {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let workspace = format!("[workspace]\nmembers = {PACKAGES:?}\nresolver = \"3\"\n");
        let manifest = folder.path().join("Cargo.toml");
        fs::write(&manifest, workspace).expect("a workspace can be written");
        PACKAGES.iter().for_each(|name| package(folder.path(), name));

        let trace = folder.path().join("trace");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = rerun(cargo, &trace, WORKERS, jobs * LEAVES_A_WORKER);
        command.env("TEST_PROGRAM", this_program());
        command.env("CARGO_TARGET_DIR", folder.path().join("target"));
        command.args(["build", "--offline", "--quiet", "--manifest-path"]).arg(manifest);
        command.arg(format!("-j{jobs}"));
        let output = output_of(command);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "-j{jobs}: {stderr}");
        let overlap = overlap(&trace);
        assert_eq!(overlap.jobs, PACKAGES.len() * jobs * LEAVES_A_WORKER, "-j{jobs}");
        // On a crowded machine each may run while cargo compiles the other package all along.
        let beside_a_compiler = (jobs - 1).max(1);
        assert!((beside_a_compiler..=jobs).contains(&overlap.most), "{} at -j{jobs}", overlap.most);
    }
}
