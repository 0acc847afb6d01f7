//! The alarm of a governor's thread: when it sleeps, until when, and how others change that.
//!
//! Calls that begin and end by the thousand a second move the next deadline each time. On Linux
//! the alarm is a timer that whoever moves the deadline sets anew, so that the thread sleeps on; to
//! wake it costs ten times as much, and takes a core from the jobs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_utils::sync::{Parker, Unparker};

use super::policy::Nanos;

/// Where the thread sleeps.
pub(super) struct Bed {
    parker: Parker,
    timer: Option<Arc<system::Timer>>,
}

/// Wakes the thread.
pub(super) struct Alarm {
    /// Gone with the thread: the governor may stay for ever, in a handler that rayon never frees, for a pool whose
    /// builder's thread is one of its workers.
    timer: Option<Weak<system::Timer>>,
    unparker: Unparker,
    /// It is to wake at once. Subtle: setting a timer forgets that it has gone off.
    rung: AtomicBool,
}

pub(super) fn new() -> (Bed, Alarm) {
    let parker = Parker::new();
    let unparker = parker.unparker().clone();
    let timer = system::Timer::new().map(Arc::new);
    let told = timer.as_ref().map(Arc::downgrade);
    (Bed { parker, timer }, Alarm { timer: told, unparker, rung: AtomicBool::new(false) })
}

impl Alarm {
    /// Wakes the thread at once, or keeps it from falling asleep.
    pub(super) fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        match &self.timer {
            Some(timer) => set(timer, Some(0)),
            None => self.unparker.unpark(),
        }
    }

    /// Sets the alarm to go off in so many nanoseconds, or never.
    pub(super) fn set(&self, after: Option<Nanos>) {
        if let Some(timer) = &self.timer {
            set(timer, after);
            if self.rung.load(Ordering::SeqCst) {
                set(timer, Some(0));
            }
        }
    }

    /// Whether it can be set anew while the thread sleeps. Else the thread must be woken to set it.
    pub(super) fn is_timer(&self) -> bool {
        self.timer.is_some()
    }

    /// Sleeps until the alarm goes off; `after` is what it was last set to.
    pub(super) fn sleep(&self, bed: &Bed, after: Option<Nanos>) {
        match (&bed.timer, after) {
            (Some(timer), _) => {
                if !timer.wait() {
                    // The program has closed our descriptor.
                    bed.parker.park_timeout(Duration::from_millis(1));
                }
            }
            (None, Some(after)) => bed.parker.park_timeout(Duration::from_nanos(after)),
            (None, None) => bed.parker.park(),
        }
        // What was told before it rang is seen from here on.
        self.rung.swap(false, Ordering::SeqCst);
    }
}

/// Sets it, unless nobody sleeps there any more.
fn set(timer: &Weak<system::Timer>, after: Option<Nanos>) {
    timer.upgrade().into_iter().for_each(|timer| timer.set(after));
}

#[cfg(target_os = "linux")]
mod system {
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    use super::Nanos;

    #[derive(Debug)]
    pub(super) struct Timer(OwnedFd);

    impl Timer {
        /// `None` if the process may not have another descriptor.
        pub(super) fn new() -> Option<Timer> {
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).ok().map(Timer)
        }

        pub(super) fn set(&self, after: Option<Nanos>) {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let it_value = after.map_or(zero, |after| {
                // Zero would disarm it. Longer than a year is never.
                let after = after.clamp(1, 1 << 55);
                let nanos = (after % 1_000_000_000) as _;
                Timespec { tv_sec: (after / 1_000_000_000) as _, tv_nsec: nanos }
            });
            let spec = Itimerspec { it_interval: zero, it_value };
            // Refused only where the descriptor has been closed: then `wait` does not wait, unless it did already.
            let _ = timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &spec);
        }

        /// Waits until it goes off, and says whether that could be waited for.
        pub(super) fn wait(&self) -> bool {
            let mut expirations = [0; 8];
            loop {
                match rustix::io::read(&self.0, &mut expirations) {
                    Err(Errno::INTR) => {}
                    outcome => return outcome.is_ok(),
                }
            }
        }
    }
}

/// Elsewhere the thread is woken, and looks.
#[cfg(not(target_os = "linux"))]
mod system {
    use super::Nanos;

    #[derive(Debug)]
    pub(super) struct Timer(std::convert::Infallible);

    impl Timer {
        pub(super) fn new() -> Option<Timer> {
            None
        }

        pub(super) fn set(&self, _: Option<Nanos>) {
            match self.0 {}
        }

        pub(super) fn wait(&self) -> bool {
            match self.0 {}
        }
    }
}
