//! How much a thread has run, as the kernel tells.

use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
pub(crate) use linux::{Watch, thread_id};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{Watch, thread_id};

use crate::governor::policy::Judged;

/// A worker seen longer ago than this says nothing about the present phase of its pool.
const FRESH: Duration = Duration::from_millis(2);

/// What a worker runs at most to take a probe and go back to sleep.
const PROBE_COST: Duration = Duration::from_micros(200);

/// What a worker had used up when it was last seen in a probe.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    at: Instant,
    cpu: Duration,
    /// How often it has gone to sleep.
    sleeps: i64,
}

impl Usage {
    /// Judges what the current thread has done since `earlier`.
    ///
    /// A fifth of the time counts as active, and so do four sleeps: a leaf that waits rather than
    /// computes is no less a job.
    pub(crate) fn judge(self, earlier: Option<Usage>) -> Judged {
        let Some(earlier) = earlier else { return Judged::Unknown };
        let elapsed = self.at - earlier.at;
        let ran = self.cpu.saturating_sub(earlier.cpu);
        let busy = ran * 5 > elapsed || self.sleeps - earlier.sleeps > 4;
        match busy {
            true if elapsed <= FRESH => Judged::Active,
            false if elapsed <= FRESH || ran <= PROBE_COST => Judged::Quiet,
            _ => Judged::Unknown,
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::File;
    use std::mem::MaybeUninit;
    use std::os::unix::fs::FileExt;
    use std::time::{Duration, Instant};

    use super::Usage;
    use crate::governor::policy::Ran;

    /// The kernel's number of the current thread.
    pub(crate) fn thread_id() -> i32 {
        rustix::thread::gettid().as_raw_nonzero().get()
    }

    impl Usage {
        /// What the current thread has used up.
        pub(crate) fn now() -> Option<Usage> {
            let mut usage = MaybeUninit::<libc::rusage>::uninit();
            // SAFETY: the pointer is valid for writes of a `rusage`.
            if unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) } != 0 {
                return None;
            }
            // SAFETY: the call has succeeded, and fills in the whole structure.
            let usage = unsafe { usage.assume_init() };
            let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
            Some(Usage { at: Instant::now(), cpu, sleeps: usage.ru_nvcsw })
        }
    }

    fn duration(time: libc::timeval) -> Duration {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        Duration::from_secs(seconds)
            + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or(0))
    }

    /// Watches whether a thread runs, without waking it.
    #[derive(Debug, Default)]
    pub(crate) struct Watch {
        open: Option<(i32, File)>,
        /// What the thread had run when it was last looked at, in the kernel's nanoseconds.
        seen: Option<u64>,
    }

    impl Watch {
        /// Forgets what was seen: the thread is about to run on our account.
        pub(crate) fn unsettle(&mut self) {
            self.seen = None;
        }

        /// Whether the thread has run since the last look.
        pub(crate) fn look(&mut self, thread: i32) -> Ran {
            if self.open.as_ref().is_none_or(|(open, _)| *open != thread) {
                let path = format!("/proc/self/task/{thread}/schedstat");
                self.open = File::open(path).ok().map(|file| (thread, file));
                self.seen = None;
            }
            let Some(now) = self.open.as_ref().and_then(|(_, file)| run_time(file)) else {
                return Ran::Unknown;
            };
            match self.seen.replace(now) {
                None => Ran::Unsettled,
                Some(before) if before == now => Ran::No,
                Some(_) => Ran::Yes,
            }
        }
    }

    fn run_time(schedstat: &File) -> Option<u64> {
        let mut text = [0; 64];
        let length = schedstat.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text[..length]).ok()?;
        text.split_ascii_whitespace().next()?.parse().ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use super::Usage;
    use crate::governor::policy::Ran;

    pub(crate) fn thread_id() -> i32 {
        0
    }

    impl Usage {
        /// This system does not tell.
        pub(crate) fn now() -> Option<Usage> {
            None
        }
    }

    /// Cannot watch anything here.
    #[derive(Debug, Default)]
    pub(crate) struct Watch;

    impl Watch {
        pub(crate) fn unsettle(&mut self) {}

        pub(crate) fn look(&mut self, _: i32) -> Ran {
            Ran::Unknown
        }
    }
}
