//! A pipe or fifo with one byte a token, on descriptions of our own.

use std::ffi::OsString;
use std::io::{self, Write};
use std::iter::repeat_n;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::end::{End, can_decline};
use super::error::Cause;
use super::queue::Queue;
use super::{environment, opening, room};

/// A connection to a jobserver.
///
/// All processes that inherited a description share whether it blocks. So the ends are opened again, and
/// the inherited ones are left as they are.
#[derive(Debug)]
pub(crate) struct Pipe {
    input: Input,
    /// Never blocks, save beside a blind input: a full pipe must not stop a worker.
    write: End,
    address: Address,
}

/// Where tokens are read.
#[derive(Debug)]
enum Input {
    /// Where one can wait for a token without reading it.
    Sighted(End, Queue),
    /// From the inherited description, whatever its state, where it cannot be opened again and the system knows no
    /// calls for it that do not wait: none but Linux does, for what `pipe` has made. A token that such a read takes
    /// while the process exits is lost.
    Blind(End),
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
    /// Connects to the jobserver behind two descriptors, and keeps them from children. If `inherited`, they must not
    /// have been opened by this process.
    pub(super) fn from_descriptors(
        read: RawFd,
        write: RawFd,
        inherited: bool,
    ) -> Result<Self, Cause> {
        opening::check_ends(read, write)?;
        if inherited {
            opening::check_inherited(read, write)?;
        }
        let pipe = Self::over(read, write, Address::Inherited(read, write)).and_then(|pipe| {
            opening::keep_from_children(read, write)?;
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
        let input = Input::Sighted(End::own(read), Queue::new().map_err(failed)?);
        Ok(Pipe { input, write: End::own(write), address })
    }

    /// Makes a jobserver for `limit` tokens, with `tokens` of them in it.
    pub(super) fn create(tokens: usize, limit: usize, byte: u8) -> io::Result<Self> {
        let (read, mut write) = io::pipe()?;
        room::make(&write, limit)?;
        // There is room, so that this never blocks.
        write.write_all(&vec![byte; tokens])?;
        let [read, write] = [read.into(), write.into()].map(opening::beyond_standard);
        let (read, write) = (read?, write?);
        let (input, output) = (read.as_raw_fd(), write.as_raw_fd());
        Self::over(input, output, Address::Own(Arc::new(read), Arc::new(write)))
    }

    /// Connects to the pipe behind two descriptors that somebody in this process owns, if it can be read without
    /// waiting.
    pub(super) fn reopened(read: RawFd, write: RawFd) -> Option<Self> {
        // Whoever has connections of its own may have closed these, and others have their numbers.
        opening::check_ends(read, write).ok()?;
        let pipe = Self::over(read, write, Address::Inherited(read, write)).ok()?;
        matches!(pipe.input, Input::Sighted(..)).then_some(pipe)
    }

    /// Opens two ends again, or shares their descriptions where that fails: there is no `/proc/self/fd`, or
    /// another user has made the pipe.
    fn over(read: RawFd, write: RawFd, address: Address) -> io::Result<Self> {
        let ends = Self::reopen(read, write).or_else(|_| Self::share(read, write));
        let (input, write) = ends?;
        Ok(Pipe { input, write, address })
    }

    fn reopen(read: RawFd, write: RawFd) -> io::Result<(Input, End)> {
        let input = End::own(opening::reopen(read, OFlags::RDONLY)?);
        let output = End::own(opening::reopen(write, OFlags::WRONLY)?);
        Ok((Input::Sighted(input, Queue::new()?), output))
    }

    fn share(read: RawFd, write: RawFd) -> io::Result<(Input, End)> {
        let (read, write) = (opening::duplicate(read)?, opening::duplicate(write)?);
        if can_decline(&read) {
            return Ok((Input::Sighted(End::shared(read), Queue::new()?), End::shared(write)));
        }
        // These block as the descriptions do.
        Ok((Input::Blind(End::own(read)), End::own(write)))
    }

    /// Reads a token if one lies there.
    pub(super) fn try_take(&self) -> io::Result<Option<u8>> {
        let Input::Sighted(read, _) = &self.input else { return Ok(None) };
        match read.read() {
            Ok(byte) => Ok(Some(byte)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Blocks until there may be a token, or for a while if none is `wanted` any more, and reads one only if there is
    /// no other way to wait.
    pub(super) fn wait(&self, wanted: impl Fn() -> bool) -> io::Result<Option<u8>> {
        match &self.input {
            Input::Sighted(read, queue) => queue.wait(read, wanted).map(|()| None),
            Input::Blind(read) => wait_and_read(read).map(Some),
        }
    }

    /// Leaves the queue of those who wait for a token. A token that may have been announced to us
    /// is returned, to be written back and so announced to the next.
    #[must_use]
    pub(super) fn leave(&self) -> Option<u8> {
        let Input::Sighted(read, queue) = &self.input else { return None };
        queue.close(read);
        // Where reading fails, nothing was announced.
        self.try_take().ok().flatten()
    }

    /// Blocks until a token that found no room may find some, or the time is over; says which.
    pub(super) fn wait_for_room(&self, limit: Option<Duration>) -> io::Result<bool> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut ends = [PollFd::new(&self.write, PollFlags::OUT)];
        let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut ends, limit.as_ref()))?;
        Ok(ready > 0)
    }

    /// Writes a token back; `WouldBlock` means that there is no room for it now.
    pub(super) fn put(&self, byte: u8) -> io::Result<()> {
        self.write.write(byte)
    }

    pub(super) fn lying(&self) -> io::Result<usize> {
        let (Input::Sighted(read, _) | Input::Blind(read)) = &self.input;
        let bytes = rustix::io::ioctl_fionread(read)?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    pub(super) fn configure(&self, command: &mut Command, make: bool) -> io::Result<()> {
        let (Input::Sighted(input, _) | Input::Blind(input)) = &self.input;
        if let Address::Inherited(read, write) = self.address
            && !opening::are_still([(read, input), (write, &self.write)])
        {
            let closed = format!("descriptors {read} and {write} have been closed in this process");
            return Err(io::Error::other(closed));
        }
        let mut flags = OsString::from("-j");
        for option in [" --jobserver-fds=", " --jobserver-auth="] {
            flags.push(option);
            flags.push(self.address.text());
        }
        command.env("CARGO_MAKEFLAGS", &flags);
        if make {
            let makeflags = beside_others(command, "MAKEFLAGS", flags.as_bytes());
            // Where make begins with a dash, and doubles dollars.
            let doubled = |&byte: &u8| repeat_n(byte, 1 + usize::from(byte == b'$'));
            let flags: Vec<_> = flags.as_bytes().iter().flat_map(doubled).collect();
            let mflags = beside_others(command, "MFLAGS", &flags).trim_ascii_start().to_vec();
            command.env("MAKEFLAGS", OsString::from_vec(makeflags));
            command.env("MFLAGS", OsString::from_vec(mflags));
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

/// What a variable is to say to a make that is started: of this jobserver, and what else it would have said.
fn beside_others(command: &Command, variable: &str, jobserver: &[u8]) -> Vec<u8> {
    let said = match command.get_envs().find(|&(name, _)| name == variable) {
        Some((_, value)) => value.map(ToOwned::to_owned),
        None => std::env::var_os(variable),
    };
    environment::with_jobserver(said.unwrap_or_default().as_bytes(), jobserver)
}

fn keep_open<End: AsRawFd + Send + Sync + 'static>(command: &mut Command, ends: [End; 2]) {
    let keep =
        move || ends.iter().try_for_each(|end| opening::close_on_exec(end.as_raw_fd(), false));
    // SAFETY: between fork and exec only async-signal-safe functions may run; `fcntl` is one, and
    // nothing allocates.
    unsafe { command.pre_exec(keep) };
}

fn wait_and_read(end: &End) -> io::Result<u8> {
    loop {
        match end.read() {
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::fcntl_getfl;

    use super::*;

    /// Where the ends cannot be opened again.
    #[test]
    fn a_shared_description_is_left_as_it_is_and_nobody_waits_at_it() {
        let (read, write) = io::pipe().expect("a pipe");
        let flags =
            || [fcntl_getfl(&read), fcntl_getfl(&write)].map(|flags| flags.expect("it is open"));
        let before = flags();
        let (numbers, token) = ((read.as_raw_fd(), write.as_raw_fd()), Some(b'+'));
        let (input, end) = Pipe::share(numbers.0, numbers.1).expect("they are open");
        let pipe = Pipe { input, write: end, address: Address::Inherited(numbers.0, numbers.1) };
        assert_eq!(pipe.try_take().expect("it is sound"), None);
        (&write).write_all(b"+").expect("there is room");
        assert_eq!(pipe.wait(|| true).expect("it is sound"), None, "it is read afterwards");
        assert_eq!(pipe.try_take().expect("it is sound"), token);
        let full = (0..).find_map(|_| pipe.put(b'+').err()).expect("it is full some time");
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert_eq!(pipe.leave(), token, "it may have been announced to us");
        pipe.put(b'+').expect_err("a page of which a byte is left is full");
        assert_eq!(flags(), before);
    }

    /// The kernel knows no calls for them that do not wait: once the first try was taken for the end of the connection.
    #[test]
    fn of_a_fifo_that_cannot_be_opened_again_tokens_are_waited_for() {
        let (read, write) = io::pipe().expect("a pipe");
        // As a fifo is: by its name.
        let ends = [(&read.as_fd(), OFlags::RDONLY), (&write.as_fd(), OFlags::WRONLY)];
        let [input, output] = ends.map(|(end, flags)| {
            let end = opening::reopen(end.as_raw_fd(), flags).expect("this system has /proc");
            rustix::fs::fcntl_setfl(&end, OFlags::empty()).expect("it is open");
            end
        });
        (&write).write_all(b"+").expect("there is room");
        let (input, end) =
            Pipe::share(input.as_raw_fd(), output.as_raw_fd()).expect("both are open");
        let pipe = Pipe { input, write: end, address: Address::Inherited(-1, -1) };
        assert_eq!(pipe.try_take().expect("it is sound"), None);
        assert_eq!(pipe.wait(|| true).expect("it is sound"), Some(b'+'));
        pipe.put(b'+').expect("it is sound, and there is room");
        assert_eq!(pipe.lying().expect("it is sound"), 1);
    }

    #[test]
    fn what_this_process_has_opened_itself_is_no_jobserver() {
        let (read, write) = io::pipe().expect("a pipe");
        let connect_to =
            |inherited| Pipe::from_descriptors(read.as_raw_fd(), write.as_raw_fd(), inherited);
        let connect = || connect_to(true);
        let error = connect().expect_err("std has it closed on exec");
        assert!(
            matches!(&error, Cause::Text(text) if text.contains("was not inherited")),
            "{error:?}"
        );
        for raw in [read.as_raw_fd(), write.as_raw_fd()] {
            opening::close_on_exec(raw, false).expect("it is open");
        }
        connect().expect("it may have been");
        connect().expect("it is closed on exec since, by the first connection");
        let (read, write) = io::pipe().expect("a pipe");
        Pipe::from_descriptors(read.as_raw_fd(), write.as_raw_fd(), false).expect("nobody says so");
    }
}
