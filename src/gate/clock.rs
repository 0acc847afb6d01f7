//! What the system tells of a thread: how much it has run, whether it sleeps, and where.

pub(super) use system::{Clock, sleeps, waited};
#[cfg(target_os = "linux")]
pub(super) use system::{read, state};

#[cfg(target_os = "linux")]
mod system {
    use std::mem::MaybeUninit;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use crate::gate::family::{self, Kin};
    use crate::governor::policy::Place;

    /// The clock that runs while a thread does.
    #[derive(Debug)]
    pub(in crate::gate) struct Clock {
        id: libc::clockid_t,
        /// Where the kernel tells of the thread.
        folder: PathBuf,
        /// Where it tells the thread's state.
        stat: PathBuf,
        /// Where it tells what system call the thread is in.
        call: PathBuf,
        /// Where the thread's stack began.
        base: u64,
    }

    impl Clock {
        /// The stack has begun at `base`.
        pub(in crate::gate) fn of_this_thread(base: u64) -> Option<Clock> {
            let mut id = 0;
            // SAFETY: always sound; names the calling thread.
            let thread = unsafe { libc::pthread_self() };
            // SAFETY: the thread is alive, being this one, and the pointer is valid for writes.
            let refused = unsafe { libc::pthread_getcpuclockid(thread, &raw mut id) };
            // Not by the number that the thread knows itself by: `/proc` may be of an outer namespace. Where it does
            // not tell either, there is no such folder.
            let thread = std::fs::read_link("/proc/thread-self");
            let folder = Path::new("/proc").join(thread.unwrap_or_else(|_| "nobody".into()));
            let (stat, call) = (folder.join("stat"), folder.join("syscall"));
            let clock = (refused == 0).then_some(Clock { id, folder, stat, call, base });
            // Some systems keep programs from reading what they have named.
            clock.filter(|clock| clock.read().is_some())
        }

        /// What the thread has run so far; `None` once it has ended.
        pub(in crate::gate) fn read(&self) -> Option<Duration> {
            read(self.id)
        }

        /// Whether the thread sleeps, be it for a lock, a file or a child, rather than runs or
        /// waits for a core.
        ///
        /// Where this cannot be [told](Self::tells_state) it counts as asleep, and its clock alone decides. Otherwise a
        /// worker that blocks would never be noticed.
        pub(in crate::gate) fn sleeps(&self) -> bool {
            state(&self.stat).is_none_or(|state| matches!(state, b'S' | b'D'))
        }

        /// Whether the thread's state can be read; not without `/proc`, nor without a descriptor to spare.
        pub(in crate::gate) fn tells_state(&self) -> bool {
            state(&self.stat).is_some()
        }

        /// Has the kernel tell nothing but the clock from now on.
        #[cfg(test)]
        pub(in crate::gate) fn lose_proc(&mut self) {
            for path in [&mut self.folder, &mut self.stat, &mut self.call] {
                *path = PathBuf::from("/nowhere");
            }
        }

        /// What the child processes of the thread do; `None`: there are none, or the kernel does not tell.
        pub(in crate::gate) fn family(&self) -> Option<Kin> {
            family::of(&self.folder)
        }

        /// Whether the thread sleeps until another one of this process wakes it, if that can be told: the kernel does
        /// not where the process has changed its user. `None`: it does not sleep.
        pub(in crate::gate) fn waits_for_lock(&self) -> Option<bool> {
            match self.place() {
                Some(place) => Some(i64::try_from(place.call) == Ok(libc::SYS_futex)),
                None => self.sleeps().then_some(false),
            }
        }

        /// Where the thread sleeps; `None`: it does not, or the kernel does not tell.
        ///
        /// The kernel tells the number of the system call, its six arguments in hexadecimal, the stack pointer
        /// and where the call was made (proc_pid_syscall(5)); for a thread that is falling asleep, once it has.
        pub(in crate::gate) fn place(&self) -> Option<Place> {
            let told = std::fs::read_to_string(&self.call).ok()?;
            let mut fields = told.split_whitespace();
            let call = fields.next()?.parse().ok()?;
            let stack = fields.nth(6)?.strip_prefix("0x")?;
            let stack = u64::from_str_radix(stack, 16).ok()?;
            Some(Place { call, depth: self.base.wrapping_sub(stack) })
        }
    }

    /// What a thread or process has run, by its clock; `None` once it has ended.
    pub(in crate::gate) fn read(clock: libc::clockid_t) -> Option<Duration> {
        let mut time = MaybeUninit::<libc::timespec>::uninit();
        // SAFETY: the pointer is valid for writes; a stale clock is refused.
        if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call has succeeded, and fills in the whole structure.
        let time = unsafe { time.assume_init() };
        let seconds = u64::try_from(time.tv_sec).ok()?;
        Some(Duration::new(seconds, u32::try_from(time.tv_nsec).ok()?))
    }

    /// The state of a process or thread, from its file `stat`; `None`: it cannot be read.
    pub(in crate::gate) fn state(stat: &Path) -> Option<u8> {
        let stat = std::fs::read(stat).ok()?;
        // It follows the name in parentheses, which may itself contain any character.
        let name_ends = stat.iter().rposition(|&byte| byte == b')')?;
        stat.get(name_ends + 2).copied()
    }

    /// How long the current thread has been ready to run but did not, for want of a core.
    pub(in crate::gate) fn waited() -> Option<Duration> {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(told.split_whitespace().nth(1)?.parse().ok()?))
    }

    /// How often the current thread has gone to sleep.
    pub(in crate::gate) fn sleeps() -> Option<i64> {
        let mut usage = MaybeUninit::<libc::rusage>::uninit();
        // SAFETY: the pointer is valid for writes of a `rusage`.
        if unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call has succeeded, and fills in the whole structure.
        let usage = unsafe { usage.assume_init() };
        #[allow(clippy::unnecessary_cast, reason = "`c_long` has 32 bits on some systems")]
        Some(usage.ru_nvcsw as i64)
    }
}

/// Other systems do not tell, or nobody has tried there.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::time::Duration;

    use crate::governor::policy::Place;

    #[derive(Debug)]
    pub(in crate::gate) struct Clock(std::convert::Infallible);

    impl Clock {
        pub(in crate::gate) fn of_this_thread(_: u64) -> Option<Clock> {
            None
        }

        pub(in crate::gate) fn read(&self) -> Option<Duration> {
            match self.0 {}
        }

        pub(in crate::gate) fn sleeps(&self) -> bool {
            match self.0 {}
        }

        pub(in crate::gate) fn place(&self) -> Option<Place> {
            match self.0 {}
        }

        pub(in crate::gate) fn family(&self) -> Option<crate::gate::family::Kin> {
            match self.0 {}
        }

        pub(in crate::gate) fn waits_for_lock(&self) -> Option<bool> {
            match self.0 {}
        }

        pub(in crate::gate) fn tells_state(&self) -> bool {
            match self.0 {}
        }
    }

    pub(in crate::gate) fn waited() -> Option<Duration> {
        None
    }

    pub(in crate::gate) fn sleeps() -> Option<i64> {
        None
    }
}
