//! Files and descriptors as a case wants them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{collections::BTreeMap, ffi::OsStr};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use tempfile::TempDir;

/// What a descriptor or a path may be. Pipes differ by how many tokens lie in them.
#[derive(Debug)]
pub(crate) enum Thing {
    /// The end of a pipe to read tokens from.
    Reader(usize),
    /// The end of the same pipe to write them to.
    Writer(usize),
    /// A fifo, open for both if it is a descriptor.
    Fifo(usize),
    File,
    Directory,
    Null,
    Socket,
    /// A symbolic link to a path below the folder.
    Link(&'static str),
}

const TEXT: &str = "nobody must write here\n";
/// Descriptors are kept above, so that none is in another's place; below, a child has no others.
const ABOVE: RawFd = 300;

#[derive(Debug)]
pub(crate) struct Stage {
    folder: TempDir,
    pipes: BTreeMap<usize, (OwnedFd, OwnedFd)>,
    /// The descriptors with the numbers they are to have.
    descriptors: Vec<(OwnedFd, RawFd)>,
    files: Vec<PathBuf>,
    fifos: Vec<File>,
    /// What must stay open.
    servers: Vec<OwnedFd>,
}

/// All that a jobserver's client could change.
#[derive(Debug, PartialEq)]
pub(crate) struct Look {
    tokens: Vec<u64>,
    flags: Vec<OFlags>,
    files: Vec<(String, SystemTime)>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
        let bytes = folder.path().as_os_str().as_bytes();
        assert!(bytes.iter().all(plain), "{folder:?} would need escapes");
        Stage {
            folder,
            pipes: BTreeMap::new(),
            descriptors: Vec::new(),
            files: Vec::new(),
            fifos: Vec::new(),
            servers: Vec::new(),
        }
    }

    /// Puts the case's own folder in the place of `/tmp/`.
    pub(crate) fn relocate(&self, value: &[u8]) -> Vec<u8> {
        let Some(at) = value.windows(5).position(|part| part == b"/tmp/") else {
            return value.to_vec();
        };
        let folder = self.folder.path().as_os_str().as_bytes();
        [&value[..at], folder, b"/", &self.relocate(&value[at + 5..])].concat()
    }

    pub(crate) fn put_at(&mut self, number: RawFd, thing: &Thing) {
        let path = self.folder.path().join(format!("at{number}"));
        let descriptor = match thing {
            Thing::Reader(tokens) => high(&self.pipe(*tokens).0),
            Thing::Writer(tokens) => high(&self.pipe(*tokens).1),
            Thing::Socket => {
                let (one, other) = UnixStream::pair().expect("sockets can be made");
                self.servers.push(other.into());
                high(&one)
            }
            Thing::Null => high(&File::open("/dev/null").expect("every system has one")),
            Thing::Directory => high(&File::open(self.folder.path()).expect("it is there")),
            Thing::Fifo(_) | Thing::File => {
                self.put(&path, thing);
                let both = File::options().read(true).write(true).open(&path);
                high(&both.expect("it has just been made"))
            }
            Thing::Link(_) => unreachable!("no descriptor is a link"),
        };
        self.descriptors.push((descriptor, number));
    }

    pub(crate) fn put_in_folder(&mut self, path: &[u8], thing: &Thing) {
        let path = self.folder.path().join(OsStr::from_bytes(path));
        fs::create_dir_all(path.parent().expect("it is below")).expect("folders can be made");
        self.put(&path, thing);
    }

    fn put(&mut self, path: &Path, thing: &Thing) {
        match thing {
            Thing::Fifo(tokens) => {
                mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo");
                let mut end = File::options().read(true).write(true).open(path).expect("it opens");
                end.write_all(&vec![b'+'; *tokens]).expect("there is room");
                self.fifos.push(end);
            }
            Thing::File => {
                fs::write(path, TEXT).expect("there is room for it");
                self.files.push(path.to_owned());
            }
            Thing::Directory => fs::create_dir(path).expect("it is new"),
            Thing::Socket => {
                self.servers.push(UnixListener::bind(path).expect("the path is short").into());
            }
            Thing::Link(target) => {
                let target = self.folder.path().join(target);
                std::os::unix::fs::symlink(target, path).expect("it is new");
            }
            Thing::Null => unreachable!("it has a name already"),
            Thing::Reader(_) | Thing::Writer(_) => unreachable!("a pipe has no name"),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Says of each descriptor whether its description blocks.
    pub(crate) fn make_nonblocking(&self, nonblocking: impl IntoIterator<Item = bool>) {
        for ((descriptor, _), nonblocking) in self.descriptors.iter().zip(nonblocking) {
            rustix::io::ioctl_fionbio(descriptor, nonblocking).expect("it is a pipe");
        }
    }

    fn pipe(&mut self, tokens: usize) -> &(OwnedFd, OwnedFd) {
        self.pipes.entry(tokens).or_insert_with(|| {
            let (read, mut write) = io::pipe().expect("a pipe can be made");
            write.write_all(&vec![b'+'; tokens]).expect("there is room");
            (read.into(), write.into())
        })
    }

    pub(crate) fn look(&self) -> Look {
        let pipes = self.pipes.values().map(|(read, _)| rustix::io::ioctl_fionread(read));
        let fifos = self.fifos.iter().map(rustix::io::ioctl_fionread);
        let flags = self.descriptors.iter().map(|(end, _)| rustix::fs::fcntl_getfl(end));
        let file = |path: &PathBuf| {
            let changed = fs::metadata(path).and_then(|about| about.modified());
            let text = fs::read_to_string(path).expect("it is still there");
            (text, changed.expect("files have a time"))
        };
        Look {
            tokens: pipes.chain(fifos).map(|lying| lying.expect("it is a pipe")).collect(),
            flags: flags.map(|flags| flags.expect("it is open")).collect(),
            files: self.files.iter().map(file).collect(),
        }
    }

    /// Gives a child the descriptors under their numbers, and no others.
    pub(crate) fn enter(&self, command: &mut Command) {
        let places = self.descriptors.iter().map(|(from, to)| (from.as_raw_fd(), *to));
        let places: Vec<_> = places.collect();
        let enter = move || {
            for number in 3..ABOVE {
                // SAFETY: it changes a number of the child alone, or finds that nothing is there.
                unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
            for &(from, to) in &places {
                // SAFETY: what is at `to` belongs to nobody who runs in the child before `exec`,
                // but the standard library's report of a failed `exec`, which is not needed.
                if unsafe { libc::dup2(from, to) } < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        };
        // SAFETY: nothing but system calls that are safe after a fork.
        unsafe { command.pre_exec(enter) };
    }
}

fn high(descriptor: &impl std::os::fd::AsFd) -> OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(descriptor, ABOVE).expect("a descriptor is to be had")
}
