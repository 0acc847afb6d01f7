//! How much a worker's thread has run, as the kernel tells.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::governor::policy::{Judged, Ran};

/// A worker seen longer ago than this says nothing about the present phase of its pool.
const FRESH: Duration = Duration::from_millis(2);

/// A worker seen a shorter time ago has not had the time to show that it is active.
const BRIEF: Duration = Duration::from_micros(500);

/// What a worker runs at most to take a probe and go back to sleep.
const PROBE_COST: Duration = Duration::from_micros(100);

/// What a thread had used up at some instant.
#[derive(Clone, Copy, Debug)]
struct Usage {
    at: Instant,
    cpu: Duration,
    /// How often it had gone to sleep, if that was looked at: only the thread itself can.
    sleeps: Option<i64>,
}

impl Usage {
    /// Judges what the thread has done since `earlier`.
    ///
    /// A fifth of the time counts as active, and so do four sleeps: a leaf that waits rather than
    /// computes is no less a job.
    fn judge(self, earlier: Usage) -> Judged {
        let elapsed = self.at.saturating_duration_since(earlier.at);
        let ran = self.cpu.saturating_sub(earlier.cpu);
        let sleeps = self.sleeps.zip(earlier.sleeps).map_or(0, |(now, then)| now - then);
        if sleeps <= 4 && ran <= PROBE_COST {
            Judged::Quiet
        } else if !(BRIEF..FRESH).contains(&elapsed) {
            Judged::Unknown
        } else if sleeps > 4 || ran * 5 > elapsed {
            Judged::Active
        } else {
            Judged::Quiet
        }
    }
}

/// What is known of one worker's thread.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clock: Option<system::Clock>,
    seen: Option<Usage>,
}

impl Seat {
    /// The current thread is this worker's.
    pub(crate) fn occupy(&self) {
        self.state.lock().clock = system::Clock::of_this_thread();
        self.survey();
    }

    /// Judges what the worker, on whose thread this is called, has done since it was last seen.
    pub(crate) fn judge_self(&self) -> Judged {
        let mut state = self.state.lock();
        let now = state.clock.as_ref().and_then(|clock| {
            Some(Usage { at: Instant::now(), cpu: clock.read()?, sleeps: system::sleeps() })
        });
        // Where the system does not tell, a probe taken must do for a sign of idleness.
        let Some(now) = now else { return Judged::Quiet };
        state.seen.replace(now).map_or(Judged::Unknown, |earlier| now.judge(earlier))
    }

    /// Sees the worker from another thread, without waking it.
    pub(crate) fn survey(&self) {
        let mut state = self.state.lock();
        if let Some(cpu) = state.clock.as_ref().and_then(system::Clock::read) {
            state.seen = Some(Usage { at: Instant::now(), cpu, sleeps: None });
        }
    }

    fn cpu(&self) -> Option<Duration> {
        self.state.lock().clock.as_ref()?.read()
    }
}

/// Watches whether one worker runs at all.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// Whom it watches, and what that worker had used up at the last look.
    seen: Option<(usize, Duration)>,
}

impl Watch {
    /// Forgets what was seen: the worker is about to run on our account.
    pub(crate) fn unsettle(&mut self) {
        self.seen = None;
    }

    /// Whether the worker has run since the last look.
    pub(crate) fn look(&mut self, worker: usize, seat: &Seat) -> Ran {
        let Some(now) = seat.cpu() else { return Ran::Unknown };
        match self.seen.replace((worker, now)) {
            Some(before) if before == (worker, now) => Ran::No,
            Some((same, _)) if same == worker => Ran::Yes,
            _ => Ran::Unsettled,
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::mem::MaybeUninit;
    use std::time::Duration;

    /// The clock that runs while a thread does.
    #[derive(Debug)]
    pub(super) struct Clock(libc::clockid_t);

    impl Clock {
        pub(super) fn of_this_thread() -> Option<Clock> {
            let mut id = 0;
            // SAFETY: always sound; names the calling thread.
            let thread = unsafe { libc::pthread_self() };
            // SAFETY: the thread is alive, being this one, and the pointer is valid for writes.
            let refused = unsafe { libc::pthread_getcpuclockid(thread, &raw mut id) };
            (refused == 0).then_some(Clock(id))
        }

        /// What the thread has run so far; `None` once it has ended.
        pub(super) fn read(&self) -> Option<Duration> {
            let mut time = MaybeUninit::<libc::timespec>::uninit();
            // SAFETY: the pointer is valid for writes; a stale clock is refused.
            if unsafe { libc::clock_gettime(self.0, time.as_mut_ptr()) } != 0 {
                return None;
            }
            // SAFETY: the call has succeeded, and fills in the whole structure.
            let time = unsafe { time.assume_init() };
            let seconds = u64::try_from(time.tv_sec).ok()?;
            Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
        }
    }

    /// How often the current thread has gone to sleep.
    pub(super) fn sleeps() -> Option<i64> {
        let mut usage = MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: the pointer is valid for writes of a `rusage`.
        if unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call has succeeded, and fills in the whole structure.
        Some(unsafe { usage.assume_init() }.ru_nvcsw)
    }
}

/// Other systems do not tell, or nobody has tried there.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    #[derive(Debug)]
    pub(super) struct Clock(std::convert::Infallible);

    impl Clock {
        pub(super) fn of_this_thread() -> Option<Clock> {
            None
        }

        pub(super) fn read(&self) -> Option<Duration> {
            match self.0 {}
        }
    }

    pub(super) fn sleeps() -> Option<i64> {
        None
    }
}
