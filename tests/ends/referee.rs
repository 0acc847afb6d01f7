//! Plays the jobserver: hands out bytes no two of which are alike, and counts them back.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::pipe::PipeFlags;
use tempfile::TempDir;

/// The two ways in which make passes its jobserver on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pipe,
    Fifo,
}

impl Kind {
    pub(crate) const BOTH: [Kind; 2] = [Kind::Pipe, Kind::Fifo];

    /// One and the other in turn.
    pub(crate) fn of(round: usize) -> Kind {
        Self::BOTH[round % 2]
    }
}

pub(crate) struct Referee {
    tokens: Vec<u8>,
    read: File,
    write: File,
    auth: String,
    _folder: Option<TempDir>,
}

impl Referee {
    /// A jobserver of `count` tokens; the first byte depends on `seed`, so that all bytes occur.
    pub(crate) fn new(kind: Kind, count: usize, seed: usize) -> Self {
        let bytes = (seed..seed + count).map(|byte| u8::try_from(byte % 256).expect("a byte"));
        let tokens: Vec<u8> = bytes.collect();
        let (read, write, auth, folder) = match kind {
            Kind::Pipe => pipe(),
            Kind::Fifo => fifo(),
        };
        (&write).write_all(&tokens).expect("a pipe has room for 256");
        Referee { tokens, read, write, auth, _folder: folder }
    }

    /// Makes this the jobserver of a program to be started.
    pub(crate) fn configure(&self, command: &mut Command) {
        for inherited in ["CARGO_MAKEFLAGS", "MFLAGS", "RAYON_NUM_THREADS", "RAYON_RS_NUM_CPUS"] {
            command.env_remove(inherited);
        }
        command.env("MAKEFLAGS", format!("-j --jobserver-auth={}", self.auth));
    }

    /// Whether every byte has come back, and no other.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        let mut expected = self.tokens.clone();
        expected.sort_unstable();
        let found = self.lying();
        if found == expected { Ok(()) } else { Err(format!("{found:?} came back of {expected:?}")) }
    }

    /// The bytes that never came back; fails if there is any that was not there at first.
    pub(crate) fn missing(&self) -> Result<usize, String> {
        let mut out = self.tokens.clone();
        for byte in self.lying() {
            let place = out.iter().position(|&token| token == byte);
            out.swap_remove(place.ok_or_else(|| format!("{byte} is one too many"))?);
        }
        Ok(out.len())
    }

    /// What lies there, in order. It is left there.
    fn lying(&self) -> Vec<u8> {
        let count = rustix::io::ioctl_fionread(&self.read).expect("a pipe tells how much is in it");
        let mut bytes = vec![0; usize::try_from(count).expect("no more than memory")];
        (&self.read).read_exact(&mut bytes).expect("nobody else reads any more");
        (&self.write).write_all(&bytes).expect("there was room before");
        bytes.sort_unstable();
        bytes
    }
}

type Ends = (File, File, String, Option<TempDir>);

fn pipe() -> Ends {
    // Inherited by every child, under the same numbers; none of them is told of another's.
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::empty()).expect("a pipe");
    let auth = format!("{},{}", read.as_raw_fd(), write.as_raw_fd());
    (File::from(read), File::from(write), auth, None)
}

fn fifo() -> Ends {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let path: PathBuf = folder.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo");
    // Opened for both, it waits for no other end.
    let open =
        |path: &Path| File::options().read(true).write(true).open(path).expect("it is there");
    (open(&path), open(&path), format!("fifo:{}", path.display()), Some(folder))
}
