//! A pipe or fifo with one byte a token, on descriptions of our own.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

use super::queue::Queue;

/// A connection to a jobserver.
///
/// Whether a description blocks is a property that all processes share which inherited it, so the
/// ends are opened again and the inherited ones are left as they are.
#[derive(Debug)]
pub(crate) struct Pipe {
    input: Input,
    /// Never blocks, save where it is the inherited one: a full pipe must not stop a worker.
    write: File,
    address: Address,
}

/// Where tokens are read.
#[derive(Debug)]
enum Input {
    /// From a description of our own, which never blocks.
    Reopened(File, Queue),
    /// From the inherited description, whatever its state, where the system has no
    /// `/proc/self/fd`. A token that such a read takes while the process exits is lost.
    Inherited(File),
}

/// How a child finds the same jobserver.
#[derive(Debug)]
enum Address {
    /// By descriptors that were inherited and stay open for those who inherit them in turn.
    Inherited(RawFd, RawFd),
    /// By descriptors of our own, closed on exec unless a child is configured to have them.
    Own(OwnedFd, OwnedFd),
    Fifo(PathBuf),
}

/// What is wrong with an end of a jobserver.
#[derive(Debug)]
pub(super) enum Fault {
    Io(io::Error),
    /// A file of this kind cannot hold tokens.
    Kind(&'static str),
    /// The descriptor cannot be read, or cannot be written.
    Access(&'static str),
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Fault::Io(errno.into())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::Io(error)
    }
}

impl Pipe {
    /// Connects to the jobserver behind two inherited descriptors.
    pub(super) fn from_descriptors(read: RawFd, write: RawFd) -> Result<Self, Fault> {
        check_descriptor(read, OFlags::WRONLY, "it cannot be read")?;
        check_descriptor(write, OFlags::RDONLY, "it cannot be written")?;
        let [input, output] = [read, write].map(|fd| PathBuf::from(format!("/proc/self/fd/{fd}")));
        let address = Address::Inherited(read, write);
        let (input, write) = match Self::reopen(&input, &output) {
            Ok(ends) => ends,
            Err(_) => (Input::Inherited(duplicate(read)?), duplicate(write)?),
        };
        Ok(Pipe { input, write, address })
    }

    /// Connects to the jobserver behind a named fifo.
    pub(super) fn from_fifo(path: &Path) -> Result<Self, Fault> {
        // Opened for both, a fifo never waits for its other end.
        let read = open(path, OFlags::RDWR | OFlags::NONBLOCK)?;
        check_kind(rustix::fs::fstat(&read)?.st_mode, true)?;
        let write = open(path, OFlags::RDWR | OFlags::NONBLOCK)?;
        let address = Address::Fifo(path.to_owned());
        Ok(Pipe { input: Input::Reopened(read, Queue::new()?), write, address })
    }

    /// Makes a jobserver with `tokens` tokens in it.
    pub(super) fn create(tokens: usize, byte: u8) -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        make_room(&write, tokens);
        let [input, output] = [&read, &write]
            .map(|end| PathBuf::from(format!("/proc/self/fd/{}", end.as_fd().as_raw_fd())));
        let (input, output) = match Self::reopen(&input, &output) {
            Ok(ends) => ends,
            Err(_) => {
                (Input::Inherited(File::from(read.try_clone()?)), File::from(write.try_clone()?))
            }
        };
        let pipe = Pipe { input, write: output, address: Address::Own(read, write) };
        (0..tokens).try_for_each(|_| pipe.put(byte))?;
        Ok(pipe)
    }

    fn reopen(input: &Path, output: &Path) -> io::Result<(Input, File)> {
        let read = open(input, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let write = open(output, OFlags::WRONLY | OFlags::NONBLOCK)?;
        Ok((Input::Reopened(read, Queue::new()?), write))
    }

    /// Connects to the pipe behind two descriptors that somebody in this process owns, if it can
    /// be opened again.
    pub(super) fn reopened(read: RawFd, write: RawFd) -> io::Result<Self> {
        let [input, output] = [read, write].map(|fd| PathBuf::from(format!("/proc/self/fd/{fd}")));
        let (input, write_end) = Self::reopen(&input, &output)?;
        Ok(Pipe { input, write: write_end, address: Address::Inherited(read, write) })
    }

    /// Reads a token if one lies there.
    pub(super) fn try_take(&self) -> io::Result<Option<u8>> {
        let Input::Reopened(read, _) = &self.input else { return Ok(None) };
        match read_byte(read) {
            Ok(byte) => Ok(Some(byte)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Blocks until there may be a token, and reads it only where there is no other way.
    pub(super) fn wait(&self) -> io::Result<Option<u8>> {
        match &self.input {
            Input::Reopened(read, queue) => queue.wait(read).map(|()| None),
            Input::Inherited(read) => wait_and_read(read).map(Some),
        }
    }

    /// Leaves the queue of those who wait for a token.
    pub(super) fn leave(&self) {
        let Input::Reopened(read, queue) = &self.input else { return };
        queue.close(read);
        // Should a token have been announced to us that we shall not read, announce it again.
        if let Ok(Some(byte)) = self.try_take() {
            // Refused, there is nobody left to report it to.
            let _ = self.put(byte);
        }
    }

    /// Blocks until a token that found no room may find some, or the time is over; says which.
    pub(super) fn wait_for_room(&self, limit: Option<&Timespec>) -> io::Result<bool> {
        let mut ends = [PollFd::new(&self.write, PollFlags::OUT)];
        let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut ends, limit))?;
        Ok(ready > 0)
    }

    /// Writes a token back; `WouldBlock` means that there is no room for it now.
    pub(super) fn put(&self, byte: u8) -> io::Result<()> {
        loop {
            match (&self.write).write(&[byte]) {
                Ok(1) => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn lying(&self) -> io::Result<usize> {
        let (Input::Reopened(read, _) | Input::Inherited(read)) = &self.input;
        let bytes = rustix::io::ioctl_fionread(read)?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    pub(super) fn configure(&self, command: &mut Command, make: bool) -> io::Result<()> {
        let auth = match &self.address {
            Address::Fifo(path) => {
                format!("fifo:{}", path.to_string_lossy().replace(' ', "\\ "))
            }
            Address::Inherited(read, write) => {
                inherit(command, *read, *write);
                format!("{read},{write}")
            }
            Address::Own(read, write) => {
                let (read, write) = (read.as_raw_fd(), write.as_raw_fd());
                inherit(command, read, write);
                format!("{read},{write}")
            }
        };
        let flags = format!(" -j --jobserver-fds={auth} --jobserver-auth={auth}");
        command.env("CARGO_MAKEFLAGS", &flags);
        if make {
            command.env("MAKEFLAGS", &flags);
            command.env("MFLAGS", flags.trim_start());
        }
        Ok(())
    }
}

/// Lets a child, and no other, inherit two descriptors under their numbers.
fn inherit(command: &mut Command, read: RawFd, write: RawFd) {
    let keep = move || {
        for raw in [read, write] {
            // SAFETY: the descriptors are open for as long as the connection is, and the child
            // has copies of all of them; this one is only borrowed.
            let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(raw) };
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe functions may run; `fcntl` is one, and
    // nothing allocates.
    unsafe { command.pre_exec(keep) };
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let access = flags & OFlags::RWMODE;
    OpenOptions::new()
        .read(access != OFlags::WRONLY)
        .write(access != OFlags::RDONLY)
        .custom_flags((flags & !OFlags::RWMODE | OFlags::CLOEXEC).bits().cast_signed())
        .open(path)
}

fn read_byte(mut end: &File) -> io::Result<u8> {
    let mut byte = [0];
    loop {
        match end.read(&mut byte) {
            Ok(1) => return Ok(byte[0]),
            Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn wait_and_read(end: &File) -> io::Result<u8> {
    loop {
        match read_byte(end) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let mut ends = [PollFd::new(end, PollFlags::IN)];
                match rustix::event::poll(&mut ends, None) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            outcome => return outcome,
        }
    }
}

/// Refuses what cannot be the end of a jobserver, without reading or writing.
fn check_descriptor(raw: RawFd, wrong: OFlags, what: &'static str) -> Result<(), Fault> {
    if raw < 0 {
        return Err(Fault::Io(Errno::BADF.into()));
    }
    // SAFETY: the number may be stale, and then both calls answer EBADF; nothing is closed, read
    // or written through it.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(raw) };
    check_kind(rustix::fs::fstat(fd)?.st_mode, false)?;
    if rustix::fs::fcntl_getfl(fd)? & OFlags::RWMODE == wrong {
        return Err(Fault::Access(what));
    }
    Ok(())
}

fn check_kind(mode: rustix::fs::RawMode, named: bool) -> Result<(), Fault> {
    match FileType::from_raw_mode(mode) {
        FileType::Fifo => Ok(()),
        FileType::CharacterDevice | FileType::Socket if named => Ok(()),
        FileType::RegularFile => Err(Fault::Kind("a regular file")),
        FileType::Directory => Err(Fault::Kind("a directory")),
        _ => Err(Fault::Kind("no pipe")),
    }
}

fn duplicate(raw: RawFd) -> Result<File, Fault> {
    // SAFETY: the descriptor has just been checked to be open, and is not closed here.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(raw) };
    Ok(File::from(rustix::io::fcntl_dupfd_cloexec(fd, 3)?))
}

/// Enlarges a pipe that is to hold more tokens than fit into it.
fn make_room(_write: &OwnedFd, tokens: usize) {
    #[cfg(target_os = "linux")]
    if tokens > 4096 {
        // Refused, the first write that finds no room reports it.
        let _ = rustix::pipe::fcntl_setpipe_size(_write, tokens);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = tokens;
}
