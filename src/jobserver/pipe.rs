//! A pipe or fifo with one byte a token, on descriptions of our own.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::iter::repeat_n;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::error::Cause;
use super::queue::Queue;
use super::{opening, room};

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
    /// By descriptors that were inherited, closed on exec unless a child is configured to have them.
    Inherited(RawFd, RawFd),
    /// By descriptors of our own, closed on exec unless a child is configured to have them.
    Own(Arc<OwnedFd>, Arc<OwnedFd>),
    Fifo(PathBuf),
}

impl Pipe {
    /// Connects to the jobserver behind two inherited descriptors, and keeps them from children.
    pub(super) fn from_descriptors(read: RawFd, write: RawFd) -> Result<Self, Cause> {
        opening::check_ends(read, write)?;
        let pipe = Self::over(read, write, Address::Inherited(read, write)).and_then(|pipe| {
            [read, write].into_iter().try_for_each(|raw| opening::close_on_exec(raw, true))?;
            Ok(pipe)
        });
        pipe.map_err(|error| Cause::Io(format!("use descriptors {read} and {write}"), error))
    }

    /// Connects to the jobserver behind a named fifo.
    pub(super) fn from_fifo(path: &Path) -> Result<Self, Cause> {
        let (read, write) = opening::fifo(path)?;
        let failed = |error| Cause::Io(format!("use {path:?}"), error);
        // A child may run in another directory.
        let address = Address::Fifo(std::path::absolute(path).map_err(failed)?);
        let input = Input::Reopened(read, Queue::new().map_err(failed)?);
        Ok(Pipe { input, write, address })
    }

    /// Makes a jobserver for `limit` tokens, with `tokens` of them in it.
    pub(super) fn create(tokens: usize, limit: usize, byte: u8) -> io::Result<Self> {
        let (read, write) = io::pipe()?;
        let (read, write) = (OwnedFd::from(read), OwnedFd::from(write));
        room::make(&write, limit)?;
        let (input, output) = (read.as_raw_fd(), write.as_raw_fd());
        let pipe = Self::over(input, output, Address::Own(Arc::new(read), Arc::new(write)))?;
        // There is room, so that this never blocks.
        (&pipe.write).write_all(&vec![byte; tokens])?;
        Ok(pipe)
    }

    /// Connects to the pipe behind two descriptors that somebody in this process owns, if it can
    /// be opened again.
    pub(super) fn reopened(read: RawFd, write: RawFd) -> Option<Self> {
        // Whoever has connections of its own may have closed these, and others have their numbers.
        opening::check_ends(read, write).ok()?;
        let (input, write_end) = Self::reopen(read, write).ok()?;
        Some(Pipe { input, write: write_end, address: Address::Inherited(read, write) })
    }

    /// Opens two ends again, or shares their descriptions where the system cannot do that.
    fn over(read: RawFd, write: RawFd, address: Address) -> io::Result<Self> {
        let (input, write) = match Self::reopen(read, write) {
            Ok(ends) => ends,
            Err(_) => (Input::Inherited(opening::duplicate(read)?), opening::duplicate(write)?),
        };
        Ok(Pipe { input, write, address })
    }

    fn reopen(read: RawFd, write: RawFd) -> io::Result<(Input, File)> {
        let input = opening::reopen(read, OFlags::RDONLY)?;
        let output = opening::reopen(write, OFlags::WRONLY)?;
        Ok((Input::Reopened(input, Queue::new()?), output))
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

    /// Leaves the queue of those who wait for a token. A token that may have been announced to us
    /// is returned, to be written back and so announced to the next.
    #[must_use]
    pub(super) fn leave(&self) -> Option<u8> {
        let Input::Reopened(read, queue) = &self.input else { return None };
        queue.close(read);
        // Where reading fails, nothing was announced.
        self.try_take().ok().flatten()
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
        let (Input::Reopened(input, _) | Input::Inherited(input)) = &self.input;
        if let Address::Inherited(read, write) = self.address
            && !opening::are_still([(read, input), (write, &self.write)])
        {
            let closed = format!("descriptors {read} and {write} have been closed in this process");
            return Err(io::Error::other(closed));
        }
        let mut flags = OsString::from(" -j");
        for option in [" --jobserver-fds=", " --jobserver-auth="] {
            flags.push(option);
            flags.push(self.address.text());
        }
        command.env("CARGO_MAKEFLAGS", &flags);
        if make {
            command.env("MAKEFLAGS", &flags);
            // Where make begins with a dash, and doubles dollars.
            let mflags = flags.as_bytes().trim_ascii_start().iter();
            let mflags = mflags.flat_map(|&byte| repeat_n(byte, 1 + usize::from(byte == b'$')));
            command.env("MFLAGS", OsString::from_vec(mflags.collect()));
        }
        self.address.hand_down(command);
        Ok(())
    }
}

impl Address {
    /// As make writes it in `MAKEFLAGS`.
    fn text(&self) -> OsString {
        let (read, write) = match self {
            Address::Fifo(path) => {
                let path = path.as_os_str().as_bytes().iter();
                let escaped = path.flat_map(|&byte| {
                    let escape = matches!(byte, b'\\' | b' ' | b'\t' | b'\n').then_some(b'\\');
                    escape.into_iter().chain([byte])
                });
                return OsString::from_vec(b"fifo:".iter().copied().chain(escaped).collect());
            }
            Address::Inherited(read, write) => (*read, *write),
            Address::Own(read, write) => (read.as_raw_fd(), write.as_raw_fd()),
        };
        format!("{read},{write}").into()
    }

    /// Lets a child, and no other, inherit the descriptors under their numbers.
    fn hand_down(&self, command: &mut Command) {
        match self {
            Address::Fifo(_) => {}
            Address::Inherited(read, write) => keep_open(command, [*read, *write]),
            Address::Own(read, write) => {
                // Kept by the command, so that the numbers mean the same when it is started.
                keep_open(command, [Arc::clone(read), Arc::clone(write)]);
            }
        }
    }
}

fn keep_open<End: AsRawFd + Send + Sync + 'static>(command: &mut Command, ends: [End; 2]) {
    let keep =
        move || ends.iter().try_for_each(|end| opening::close_on_exec(end.as_raw_fd(), false));
    // SAFETY: between fork and exec only async-signal-safe functions may run; `fcntl` is one, and
    // nothing allocates.
    unsafe { command.pre_exec(keep) };
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
