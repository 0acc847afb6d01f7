//! One end of a jobserver's pipe, at which nobody waits.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

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
        let read = match self.shared {
            true => uninterrupted(|| system::read(&self.file, &mut byte)),
            false => uninterrupted(|| (&self.file).read(&mut byte)),
        };
        if read? == 1 { Ok(byte[0]) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Writes one byte; `WouldBlock` means that there is no room for it.
    pub(super) fn write(&self, byte: u8) -> io::Result<()> {
        let written = match self.shared {
            true => uninterrupted(|| system::write(&self.file, &[byte])),
            false => uninterrupted(|| (&self.file).write(&[byte])),
        };
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

/// Makes a call again for as long as a signal interrupts it.
fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::{self, IoSlice, IoSliceMut};

    use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev2};

    /// From where the description stands, as it is with pipes anyway (preadv2(2)).
    const HERE: u64 = u64::MAX;

    /// Whether pipes know calls that do not wait: since Linux 5.5 or so.
    pub(super) fn can_decline() -> bool {
        let tried = io::pipe().map(|(read, _write)| {
            let mut byte = [0];
            preadv2(read, &mut [IoSliceMut::new(&mut byte)], HERE, ReadWriteFlags::NOWAIT)
        });
        matches!(tried, Ok(Err(Errno::AGAIN)))
    }

    pub(super) fn read(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
        Ok(preadv2(file, &mut [IoSliceMut::new(bytes)], HERE, ReadWriteFlags::NOWAIT)?)
    }

    pub(super) fn write(file: &File, bytes: &[u8]) -> io::Result<usize> {
        Ok(pwritev2(file, &[IoSlice::new(bytes)], HERE, ReadWriteFlags::NOWAIT)?)
    }
}

/// Elsewhere there is no such call.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    pub(super) fn can_decline() -> bool {
        false
    }

    pub(super) fn read(_: &File, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn write(_: &File, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
