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

/// Whether the system knows calls for this description that do not wait, whatever that says itself.
pub(super) fn can_decline(read: &File) -> bool {
    system::can_decline(read)
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::{self, IoSlice, IoSliceMut};
    use std::os::fd::AsRawFd;
    use std::ptr;

    use rustix::io::{ReadWriteFlags, Result, preadv2, pwritev2};

    /// From where the description stands, as it is with pipes anyway (preadv2(2)).
    const HERE: u64 = u64::MAX;

    /// Older kernels refuse them for all pipes, and new ones for what was opened by a name: a fifo, or a pipe anew.
    ///
    /// A token that lies there stays: there is no room for it where it would go.
    pub(super) fn can_decline(read: &File) -> bool {
        let nowhere = libc::iovec { iov_base: ptr::null_mut(), iov_len: 1 };
        let (here, flags) = (-1_i64 as libc::c_long, ReadWriteFlags::NOWAIT.bits());
        let fd = read.as_raw_fd();
        // SAFETY: the array of one is valid, and the kernel answers what it cannot write to with EFAULT.
        let answer = unsafe {
            libc::syscall(libc::SYS_preadv2, fd, &raw const nowhere, 1_usize, here, here, flags)
        };
        let refused = io::Error::last_os_error().raw_os_error();
        answer == -1 && matches!(refused, Some(libc::EAGAIN | libc::EFAULT))
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

    pub(super) fn can_decline(_: &File) -> bool {
        false
    }

    pub(super) fn read(_: &File, _: &mut [u8]) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    pub(super) fn write(_: &File, _: &[u8]) -> Result<usize> {
        Err(Errno::NOSYS)
    }
}
