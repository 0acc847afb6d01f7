//! Rules of this repository that a reader would have to check by hand.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: impl AsRef<Path>) -> String {
    let file = root().join(file);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// All Rust files of the library, with their text.
fn sources() -> Vec<(PathBuf, String)> {
    let entries = WalkDir::new(root().join("src")).sort_by_file_name().into_iter();
    let files = entries.map(|entry| entry.expect("src can be walked").into_path());
    let rust = files.filter(|file| file.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|file| (file.clone(), text(file))).collect()
}

fn is_identifier(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| is_identifier(word))
}

#[test]
fn the_changelog_names_the_version() {
    let heading = format!("## [{}]", env!("CARGO_PKG_VERSION"));
    assert!(text("CHANGELOG.md").contains(&heading), "no heading {heading:?}");
}

#[test]
fn the_readme_names_both_commands_and_the_rust_version() {
    let readme = text("README.md");
    for command in ["cargo run --release --example budget", "cargo test"] {
        assert!(readme.lines().any(|line| line == command), "no line {command:?}");
    }
    for (file, text) in [("README.md", &readme), ("src/lib.rs", &text("src/lib.rs"))] {
        assert!(text.contains(env!("CARGO_PKG_RUST_VERSION")), "{file} tells another Rust version");
    }
}

#[test]
fn the_readme_has_the_table_of_the_benchmarks() {
    let (readme, benchmarks) = (text("README.md"), text("BENCHMARKS.md"));
    let (_, figures) = readme.split_once("## How fast").expect("README tells how fast it is");
    let table: Vec<_> = figures.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(table.len() > 4, "no table");
    for line in table {
        assert!(benchmarks.lines().any(|other| other == line), "not in BENCHMARKS.md: {line}");
    }
}

#[test]
fn a_file_holds_one_concept() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 600, "{} has {lines} lines: more than one concept?", file.display());
    }
}

#[test]
fn the_policy_knows_no_clock_no_threads_and_no_rayon() {
    let policy = root().join("src/governor/policy");
    let files = sources().into_iter();
    let files = files.filter(|(file, _)| file.with_extension("").starts_with(&policy));
    let mut seen = 0;
    for (file, text) in files {
        seen += 1;
        for (line, number) in text.lines().zip(1..) {
            let code = line.split("//").next().unwrap_or_default();
            let alien = identifiers(code).find(|word| {
                ["Instant", "SystemTime", "thread", "rayon", "rayon_core"].contains(word)
            });
            assert!(alien.is_none(), "{}:{number}: {line}", file.display());
        }
    }
    assert!(seen > 1, "the policy has moved");
}

#[test]
fn the_protocol_tells_of_things_that_exist() {
    let protocol = fs::read_to_string(root().join("src/governor/README.md")).expect("it is there");
    let sources: String = sources().into_iter().map(|(_, text)| text).collect();
    let known: HashSet<_> = identifiers(&sources).collect();
    let mut seen = (0, 0);
    // Between fences, inline code; a stray mark would turn prose and code round, and both counts to nothing.
    let prose: String = protocol.split("```").step_by(2).collect();
    for quoted in prose.split('`').skip(1).step_by(2) {
        if quoted.ends_with(".rs") && !quoted.contains(' ') {
            seen.1 += 1;
            let below =
                ["", "src", "src/governor", "src/governor/policy", "src/governor/policy/tests"];
            let exists = |folder: &&str| root().join(folder).join(quoted).exists();
            assert!(below.iter().any(exists), "there is no {quoted}");
        }
        let path: Vec<_> = quoted.trim_end_matches("()").split("::").collect();
        let names_ours = !["rayon", "rayon_core", "std"].contains(&path[0]);
        if names_ours && path.iter().all(|name| is_identifier(name)) {
            seen.0 += 1;
            let unknown = path.iter().find(|name| !known.contains(**name));
            assert!(unknown.is_none(), "`{quoted}` is not in src");
        }
    }
    assert!(seen.0 >= 50 && seen.1 >= 5, "{seen:?}: the page does not quote what it did");
}
