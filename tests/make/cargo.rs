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

/// The first two may run beside each other, and each beside a compiler of cargo's, which takes a token. The script of
/// the last one needs both to have been compiled, and so runs alone.
const PACKAGES: [(&str, &str); 3] = [
    ("one", ""),
    ("other", ""),
    ("last", "[build-dependencies]\none.path = \"../one\"\nother.path = \"../other\"\n"),
];

/// A package whose build script that is.
fn package(folder: &Path, name: &str, needs: &str) {
    let package = folder.join(name);
    let manifest =
        format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n{needs}");
    fs::create_dir_all(package.join("src")).expect("a folder can be made");
    for (file, text) in [("Cargo.toml", &*manifest), ("build.rs", SCRIPT), ("src/lib.rs", "")] {
        fs::write(package.join(file), text).expect("a package can be written");
    }
}

#[test]
fn programs_that_build_scripts_start_run_exactly_as_wide_as_cargo_allows() {
    for jobs in [1, 5] {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let members = PACKAGES.map(|(name, _)| name);
        let workspace = format!("[workspace]\nmembers = {members:?}\nresolver = \"3\"\n");
        let manifest = folder.path().join("Cargo.toml");
        fs::write(&manifest, workspace).expect("a workspace can be written");
        PACKAGES.iter().for_each(|(name, needs)| package(folder.path(), name, needs));

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
        assert_eq!(overlap.most, jobs, "-j{jobs}");
    }
}
