//! One end of a jobserver's pipe, at which nobody waits.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::retry_on_intr;

/// One end of a pipe or fifo.
#[derive(Debug)]
pub(super) struct End {
    file: File,
    /// The description is one that others share, and whether it blocks is not ours to say.
    shared: bool,
}

impl End {
    /// Over a description of our own, which does not block.
    pub(super) fn own(file: File) -> Self {
        End { file, shared: false }
    }

    /// Over a description that others share, where the system [can be told](can_decline) not to wait.
    pub(super) fn shared(file: File) -> Self {
        End { file, shared: true }
    }

    /// Reads one byte; `WouldBlock` means that none lies there.
    pub(super) fn read(&self) -> io::Result<u8> {
        let mut byte = [0];
        let read = retry_on_intr(|| match self.shared {
            true => system::read(&self.file, &mut byte),
            false => rustix::io::read(&self.file, &mut byte),
        });
        if read? == 1 { Ok(byte[0]) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Writes one byte; `WouldBlock` means that there is no room for it.
    pub(super) fn write(&self, byte: u8) -> io::Result<()> {
        let written = retry_on_intr(|| match self.shared {
            true => system::write(&self.file, &[byte]),
            false => rustix::io::write(&self.file, &[byte]),
        });
        if written? == 1 { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Whether the system knows calls that do not wait, whatever the description says.
pub(super) fn can_decline() -> bool {
    system::can_decline()
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::{self, IoSlice, IoSliceMut};

    use rustix::io::{Errno, ReadWriteFlags, Result, preadv2, pwritev2};

    /// From where the description stands, as it is with pipes anyway (preadv2(2)).
    const HERE: u64 = u64::MAX;

    /// Older kernels refuse them for pipes.
    pub(super) fn can_decline() -> bool {
        let tried = io::pipe().map(|(pipe, _write)| {
            let mut byte = [0];
            preadv2(pipe, &mut [IoSliceMut::new(&mut byte)], HERE, ReadWriteFlags::NOWAIT)
        });
        matches!(tried, Ok(Err(Errno::AGAIN)))
    }

    pub(super) fn read(file: &File, bytes: &mut [u8]) -> Result<usize> {
        preadv2(file, &mut [IoSliceMut::new(bytes)], HERE, ReadWriteFlags::NOWAIT)
    }

    pub(super) fn write(file: &File, bytes: &[u8]) -> Result<usize> {
        pwritev2(file, &[IoSlice::new(bytes)], HERE, ReadWriteFlags::NOWAIT)
    }
}

/// Elsewhere there is no such call.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;

    use rustix::io::{Errno, Result};

    pub(super) fn can_decline() -> bool {
        false
    }

    pub(super) fn read(_: &File, _: &mut [u8]) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    pub(super) fn write(_: &File, _: &[u8]) -> Result<usize> {
        Err(Errno::NOSYS)
    }
}
