//! The input: crates of a lock file, and the types that their sources define.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use walkdir::WalkDir;

/// The crates of a lock file whose sources lie on this machine.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) crates: Vec<Crate>,
}

#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    folder: PathBuf,
    /// Where names are looked for that the crate does not define: its dependencies, by number.
    pub(crate) dependencies: Vec<usize>,
}

/// A type, as far as the front end understands it.
#[derive(Debug)]
pub(crate) struct Definition {
    /// The names of all types that its fields mention.
    pub(crate) mentions: Vec<String>,
}

/// What one crate defines.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) types: Vec<Definition>,
    /// The first type of each name.
    pub(crate) by_name: HashMap<String, usize>,
}

impl Workspace {
    /// The crates that `lock_file` lists.
    pub(crate) fn of(lock_file: &Path) -> io::Result<Self> {
        let packages = packages(&fs::read_to_string(lock_file)?);
        let own = lock_file.parent().unwrap_or(Path::new("."));
        let registries = registries();
        let mut crates = Vec::new();
        let mut wanted = Vec::new();
        for package in packages {
            let unpacked = registries.iter().map(|it| it.join(&package.title));
            let local = (!package.foreign).then(|| own.join("src"));
            if let Some(folder) = local.into_iter().chain(unpacked).find(|it| it.is_dir()) {
                crates.push(Crate { name: package.title, folder, dependencies: Vec::new() });
                wanted.push(package.dependencies);
            }
        }
        // A dependency is written as `name`, or as `name version` where there are several.
        let find = |wanted: &String| {
            let exact = wanted.replace(' ', "-");
            let start = format!("{wanted}-");
            crates.iter().position(|it| it.name == exact || it.name.starts_with(&start))
        };
        let found: Vec<Vec<_>> =
            wanted.iter().map(|names| names.iter().filter_map(find).collect()).collect();
        for (it, dependencies) in crates.iter_mut().zip(found) {
            it.dependencies = dependencies;
        }
        Ok(Workspace { crates })
    }
}

impl Crate {
    /// Parses the crate's sources. What is no Rust of today is passed over, as a build would.
    pub(crate) fn index(&self) -> Index {
        let files = WalkDir::new(&self.folder).sort_by_file_name().into_iter();
        let sources = files.filter_map(Result::ok).map(walkdir::DirEntry::into_path);
        let mut index = Index::default();
        for path in sources.filter(|path| path.extension().is_some_and(|it| it == "rs")) {
            let parsed = fs::read_to_string(path).ok().and_then(|text| syn::parse_file(&text).ok());
            if let Some(file) = parsed {
                index.visit_file(&file);
            }
        }
        index
    }
}

impl Index {
    fn define(&mut self, name: &syn::Ident, fields: impl FnOnce(&mut Mentions)) {
        let mut mentions = Mentions::default();
        fields(&mut mentions);
        self.by_name.entry(name.to_string()).or_insert(self.types.len());
        self.types.push(Definition { mentions: mentions.0 });
    }
}

impl<'ast> Visit<'ast> for Index {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.define(&item.ident, |mentions| mentions.visit_fields(&item.fields));
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.define(&item.ident, |mentions| {
            item.variants.iter().for_each(|variant| mentions.visit_fields(&variant.fields));
        });
    }

    fn visit_item_union(&mut self, item: &'ast syn::ItemUnion) {
        self.define(&item.ident, |mentions| mentions.visit_fields_named(&item.fields));
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.define(&item.ident, |mentions| mentions.visit_type(&item.ty));
    }
}

/// The last segments of all paths to types.
#[derive(Default)]
struct Mentions(Vec<String>);

impl<'ast> Visit<'ast> for Mentions {
    fn visit_type_path(&mut self, path: &'ast syn::TypePath) {
        if let Some(last) = path.path.segments.last() {
            self.0.push(last.ident.to_string());
        }
        visit::visit_type_path(self, path);
    }
}

/// An entry of a lock file.
struct Package {
    /// Name and version, as the folder is called where cargo has unpacked it.
    title: String,
    foreign: bool,
    dependencies: Vec<String>,
}

/// What a lock file lists. It is TOML, but of a plain form that cargo always writes alike.
fn packages(text: &str) -> Vec<Package> {
    let entries = text.split("[[package]]").skip(1);
    let package = |entry: &str| {
        let value = |key: &str| {
            let start = format!("{key} = \"");
            entry.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix('"'))
        };
        let quoted =
            |line: &str| Some(line.trim().strip_prefix('"')?.split('"').next()?.to_owned());
        Some(Package {
            title: format!("{}-{}", value("name")?, value("version")?),
            foreign: value("source").is_some(),
            dependencies: entry.lines().filter_map(quoted).collect(),
        })
    };
    entries.filter_map(package).collect()
}

/// Where cargo unpacks crates on this machine.
fn registries() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let folders = home.and_then(|home| fs::read_dir(home.join("registry").join("src")).ok());
    let mut found: Vec<_> =
        folders.into_iter().flatten().filter_map(|it| Some(it.ok()?.path())).collect();
    found.sort();
    found
}
