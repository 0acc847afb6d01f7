//! What the children of this process have cost so far.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// The sum over all children that have been waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Context switches of threads that waited, and of threads that were stopped for another.
    pub(crate) waits: f64,
    pub(crate) stops: f64,
    pub(crate) cpu: Duration,
}

/// Reads it; rustix has no such call.
pub(crate) fn of_children() -> io::Result<Usage> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to memory of ours that is large enough for what is written.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has filled it, and zeroes would do as well.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.unsigned_abs())
            + Duration::from_micros(time.tv_usec.unsigned_abs())
    };
    Ok(Usage {
        waits: usage.ru_nvcsw as f64,
        stops: usage.ru_nivcsw as f64,
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
    })
}
