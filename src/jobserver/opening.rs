//! Opening what the environment names, after checking that it can hold tokens.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::{Errno, FdFlags};

use super::error::Cause;

/// The least number that is no standard stream's.
const LEAST: RawFd = 3;

/// How a number may have come to stand for something else.
const REUSED: &str = "the number may have been used again: make passes its own on only if the recipe's line has a `+`";

/// The inodes behind the descriptors that this crate has made close on exec, by descriptor modulo the length. No lock,
/// which might be held for ever in a forked child; the child has a copy of them.
static KEPT: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// Refuses what cannot have been inherited. A descriptor that is closed on exec was opened in this process, under a
/// number that had been closed, unless [`keep_from_children`] has made it so. Its bytes are no tokens.
pub(super) fn check_inherited(read: RawFd, write: RawFd) -> Result<(), Cause> {
    for raw in [read, write] {
        let inspected =
            with_descriptor(raw, |fd| Ok((rustix::io::fcntl_getfd(fd)?, rustix::fs::fstat(fd)?)));
        let (flags, stat) = inspected
            .map_err(|errno| Cause::Io(format!("inspect descriptor {raw}"), errno.into()))?;
        let ours = KEPT[raw as usize % KEPT.len()].load(Ordering::Relaxed) == stat.st_ino;
        if flags.contains(FdFlags::CLOEXEC) && !ours {
            return Err(Cause::Text(format!(
                "descriptor {raw} was not inherited, being closed on exec ({REUSED})"
            )));
        }
    }
    Ok(())
}

/// Keeps inherited descriptors from the programs that this process starts.
pub(super) fn keep_from_children(read: RawFd, write: RawFd) -> io::Result<()> {
    for raw in [read, write] {
        let stat = with_descriptor(raw, |fd| rustix::fs::fstat(fd))?;
        KEPT[raw as usize % KEPT.len()].store(stat.st_ino, Ordering::Relaxed);
        close_on_exec(raw, true)?;
    }
    Ok(())
}

/// Refuses what cannot be the two ends of a jobserver, without reading or writing.
///
/// Nothing but a pipe will do: a number that was closed and has been used again mostly belongs to a socket or a device.
pub(super) fn check_ends(read: RawFd, write: RawFd) -> Result<(), Cause> {
    let input = check_end(read, OFlags::WRONLY, "read")?;
    let output = check_end(write, OFlags::RDONLY, "written")?;
    // Otherwise numbers that were closed have been used again. On other systems, the two ends of one pipe may have
    // different inodes.
    if cfg!(target_os = "linux") && !same_file(&input, &output) {
        return Err(Cause::Text(format!("descriptors {read} and {write} are of different pipes")));
    }
    Ok(())
}

/// Whether two descriptors still belong to the files that were opened through them. If something in this process has
/// closed them since, other files may have their numbers.
pub(super) fn are_still(ends: [(RawFd, &impl AsFd); 2]) -> bool {
    ends.into_iter().all(|(raw, opened)| {
        let now = with_descriptor(raw, |fd| rustix::fs::fstat(fd)).ok();
        now.zip(rustix::fs::fstat(opened).ok()).is_some_and(|(now, then)| same_file(&now, &then))
    })
}

fn check_end(raw: RawFd, wrong: OFlags, purpose: &str) -> Result<Stat, Cause> {
    let what = format!("descriptor {raw}");
    let inspected = with_descriptor(raw, |fd| {
        Ok((rustix::fs::fstat(fd)?, rustix::fs::fcntl_getfl(fd)? & OFlags::RWMODE))
    });
    let (stat, access) = match inspected {
        Ok(inspected) => inspected,
        Err(Errno::BADF) => {
            let hint = "what started this process has closed it: make does unless the recipe's line has a \
                        `+`, and a program with rayon-jobserver unless it calls `configure`";
            return Err(Cause::Text(format!("{what} is not open ({hint})")));
        }
        Err(errno) => return Err(Cause::Io(format!("inspect {what}"), errno.into())),
    };
    match kind(&stat) {
        FileType::Fifo if access == wrong => {
            Err(Cause::Text(format!("{what} cannot be {purpose}")))
        }
        FileType::Fifo => Ok(stat),
        other => Err(Cause::Text(format!("{} ({REUSED})", refusal(&what, other)))),
    }
}

/// Opens the ends of a named fifo, or of a device that acts as one; neither ever blocks.
pub(super) fn fifo(path: &Path) -> Result<(File, File), Cause> {
    let failed = |error: io::Error| Cause::Io(format!("open {path:?}"), error);
    // Before it is opened: that may affect a device, or never return.
    let named = rustix::fs::stat(path).map_err(|errno| failed(errno.into()))?;
    check_named(path, &named)?;
    // Opened for both, a fifo never waits for its other end.
    let read = open(path, OFlags::RDWR | OFlags::NONBLOCK).map_err(failed)?;
    let write = open(path, OFlags::RDWR | OFlags::NONBLOCK).map_err(failed)?;
    for end in [&read, &write] {
        let opened = rustix::fs::fstat(end).map_err(|errno| failed(errno.into()))?;
        // Another file may have taken the name meanwhile.
        check_named(path, &opened)?;
        if !same_file(&opened, &named) {
            return Err(Cause::Text(format!("{path:?} was replaced while it was opened")));
        }
    }
    if kind(&named) == FileType::CharacterDevice {
        check_device(path, &read)?;
    }
    Ok((read, write))
}

fn check_named(path: &Path, stat: &Stat) -> Result<(), Cause> {
    match kind(stat) {
        FileType::Fifo | FileType::CharacterDevice => Ok(()),
        // make opens what it is given by this name, so that none can be its jobserver.
        FileType::Socket => Err(Cause::Text(format!("{path:?} is a socket and cannot be opened"))),
        other => Err(Cause::Text(refusal(&format_args!("{path:?}"), other))),
    }
}

/// Refuses `/dev/null` and its like, which answer every read at once and cannot be waited for.
#[cfg(target_os = "linux")]
fn check_device(path: &Path, device: &File) -> Result<(), Cause> {
    use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
    let waited = epoll::create(CreateFlags::CLOEXEC)
        .and_then(|set| epoll::add(&set, device, EventData::new_u64(0), EventFlags::IN));
    waited.map_err(|errno| Cause::Io(format!("wait for {path:?}"), errno.into()))
}

#[cfg(not(target_os = "linux"))]
fn check_device(_path: &Path, _device: &File) -> Result<(), Cause> {
    Ok(())
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn same_file(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

fn refusal(what: &impl Display, kind: FileType) -> String {
    let kind = match kind {
        FileType::RegularFile => "a regular file",
        FileType::Directory => "a directory",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "no pipe",
    };
    format!("{what} is {kind} and cannot hold tokens")
}

/// Opens what a descriptor refers to, as a description of our own.
pub(super) fn reopen(descriptor: RawFd, flags: OFlags) -> io::Result<File> {
    open(Path::new(&format!("/proc/self/fd/{descriptor}")), flags | OFlags::NONBLOCK)
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let access = flags & OFlags::RWMODE;
    let flags = flags & !OFlags::RWMODE | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened = OpenOptions::new()
        .read(access != OFlags::WRONLY)
        .write(access != OFlags::RDONLY)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    beyond_standard(opened.into()).map(File::from)
}

/// The same file under a number that is no standard stream's, should the program have closed those: what it prints
/// would be tokens.
pub(super) fn beyond_standard(opened: OwnedFd) -> io::Result<OwnedFd> {
    if opened.as_raw_fd() >= LEAST {
        return Ok(opened);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&opened, LEAST)?)
}

/// Another descriptor of the same description.
pub(super) fn duplicate(raw: RawFd) -> io::Result<File> {
    let duplicate = with_descriptor(raw, |fd| rustix::io::fcntl_dupfd_cloexec(fd, LEAST))?;
    Ok(File::from(duplicate))
}

/// Says whether this process's descriptor stays open in a program it starts. The description that
/// other processes share is left alone. Allocates nothing.
pub(super) fn close_on_exec(raw: RawFd, close: bool) -> io::Result<()> {
    let flags = if close { FdFlags::CLOEXEC } else { FdFlags::empty() };
    Ok(with_descriptor(raw, |fd| rustix::io::fcntl_setfd(fd, flags))?)
}

fn with_descriptor<T>(
    raw: RawFd,
    call: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<T>,
) -> rustix::io::Result<T> {
    if raw < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: the number may be stale, and then every call answers EBADF; nothing is closed, read
    // or written through it.
    call(unsafe { BorrowedFd::borrow_raw(raw) })
}
