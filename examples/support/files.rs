//! Which files are read.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// The Rust sources of this crate and of all crates that cargo has unpacked on this machine.
pub(crate) fn sources() -> Files {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registry = home.map(|home| home.join("registry").join("src"));
    let folders = [Some(own), registry].into_iter().flatten().filter(|folder| folder.is_dir());
    let mut files = Files::under(folders);
    files.found.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}

/// Files to read.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// In the order of their names, folder by folder.
    pub(crate) found: Vec<PathBuf>,
    /// What could not be looked at, and why.
    pub(crate) problems: Vec<String>,
}

impl Files {
    /// All files at and under `paths`.
    pub(crate) fn under(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut files = Files::default();
        for entry in paths.into_iter().flat_map(|path| WalkDir::new(path).sort_by_file_name()) {
            match entry {
                Ok(entry) if entry.file_type().is_file() => files.found.push(entry.into_path()),
                Ok(_) => {}
                Err(error) => files.problems.push(error.to_string()),
            }
        }
        files
    }
}
