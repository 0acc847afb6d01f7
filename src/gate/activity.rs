//! How much a worker's thread has run, according to the kernel.

use std::time::Duration;

use super::depth;
use super::family::{Doings, Family};
use crate::governor::policy::{
    Judged, LATE, Nanos, Nap, Place, Record, STIR, Still, Stillness, Usage,
};
use crate::sync::Mutex;

/// What is known of one worker's thread.
#[derive(Debug, Default)]
pub(crate) struct Seat {
    state: Mutex<State>,
}

/// What a worker that took a probe has done since it was last seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    pub(crate) judged: Judged,
    /// Whether it was in a job for most of the time that the probe has lain.
    pub(crate) late: bool,
    /// Where it slept until the probe was posted, if it was seen to.
    pub(crate) slept_at: Option<Place>,
}

#[derive(Debug, Default)]
struct State {
    clock: Option<system::Clock>,
    record: Record,
    /// What its thread had used of a core when it was last asked whether it has stirred.
    felt: Duration,
    /// How long its thread had waited for a core when it last took a probe late.
    waited: Option<Duration>,
    still: Still,
    family: Family,
    nap: Nap,
}

impl State {
    /// What the thread has used of a core by now; `None`: the system does not tell.
    fn usage(&self, at: Nanos) -> Option<Usage> {
        let cpu = self.clock.as_ref()?.read()?.as_nanos();
        Some(Usage { at, cpu: Nanos::try_from(cpu).ok()?, sleeps: None })
    }

    /// How long the worker has waited for a core since this was last asked, having waited so long in all.
    fn waited_since(&mut self, waited: Duration) -> Option<Nanos> {
        let before = self.waited.replace(waited)?;
        Nanos::try_from(waited.saturating_sub(before).as_nanos()).ok()
    }
}

/// So many times longer a worker must have stood still to count as blocked where nothing tells whether it sleeps or
/// waits for a core: some tenths of a second, which hardly any machine leaves a thread without one.
const UNTOLD: Nanos = 32;

impl Seat {
    /// The current thread is this worker's.
    pub(crate) fn occupy(&self, now: Nanos) {
        self.state.lock().clock = system::Clock::of_this_thread(depth::base());
        self.survey(now);
    }

    /// Judges what the worker, on whose thread this is called, one of so many, has done since it was last seen.
    /// It took a probe that had `lain` so long.
    pub(crate) fn judge_self(&self, now: Nanos, workers: usize, lain: Nanos) -> Past {
        // This reads a file: only when it matters, and before the lock is taken.
        let waited = if lain < LATE { None } else { system::waited() };
        let mut state = self.state.lock();
        let Some(usage) = state.usage(now) else {
            // Where the system does not tell, taking a probe has to pass for a sign of idleness.
            return Past { judged: Judged::Quiet, late: false, slept_at: None };
        };
        let usage = Usage { sleeps: system::sleeps(), ..usage };
        let waited = waited.and_then(|waited| state.waited_since(waited));
        let late = waited.is_some_and(|waited| state.record.is_late(usage, lain, waited));
        let slept_at = state.nap.end(usage.cpu);
        Past { judged: state.record.judge(usage, workers), late, slept_at }
    }

    /// The worker, on whose thread this is called, is admitted anew.
    pub(crate) fn resume_self(&self, now: Nanos) {
        let mut state = self.state.lock();
        if let Some(usage) = state.usage(now) {
            state.record.begin(Usage { sleeps: system::sleeps(), ..usage });
        }
    }

    /// Sees the worker from another thread, without waking it.
    pub(crate) fn survey(&self, now: Nanos) {
        let mut state = self.state.lock();
        if let Some(usage) = state.usage(now) {
            state.record.survey(usage);
        }
    }

    /// What the worker has run since it was last seen; told from another thread. If that is nothing, its
    /// sleeps until then do not count any more.
    pub(crate) fn count(&self, now: Nanos) -> Nanos {
        let mut state = self.state.lock();
        state.usage(now).map_or(0, |usage| state.record.count(usage))
    }

    /// What the worker has run since this was last asked, from another thread; `None`: the system does
    /// not tell.
    pub(crate) fn stirred(&self) -> Option<Nanos> {
        let mut state = self.state.lock();
        let now = state.clock.as_ref()?.read()?;
        let ran = now.saturating_sub(std::mem::replace(&mut state.felt, now));
        Some(Nanos::try_from(ran.as_nanos()).unwrap_or(Nanos::MAX))
    }

    /// A probe is about to be posted; the worker may be asleep.
    pub(crate) fn await_probe(&self) {
        self.stirred();
    }

    /// Whether the worker is ready but has not run since the probe was posted, for want of a core: an idle one
    /// is woken for a probe and takes it as soon as it runs. Judged from another thread.
    ///
    /// A worker that has run since then counts as busy, however long it waits for a core again. Otherwise a pool of
    /// more workers than cores would never count as saturated.
    pub(crate) fn starves(&self) -> bool {
        let ran = || {
            let state = self.state.lock();
            Some(state.clock.as_ref()?.read()?.saturating_sub(state.felt))
        };
        ran().is_some_and(|ran| ran.as_nanos() < u128::from(STIR)) && !self.sleeps()
    }

    /// Whether the worker sleeps; judged from another thread.
    pub(crate) fn sleeps(&self) -> bool {
        self.state.lock().clock.as_ref().is_some_and(system::Clock::sleeps)
    }

    /// Whether the worker sleeps, and where, if the system tells; judged from another thread.
    pub(crate) fn naps(&self, now: Nanos) -> Option<Option<Place>> {
        let mut state = self.state.lock();
        let cpu = state.usage(now)?.cpu;
        let State { clock: Some(clock), nap, .. } = &mut *state else { return None };
        clock.sleeps().then(|| {
            let place = clock.place();
            nap.look(cpu, place);
            place
        })
    }

    /// Whether the worker has slept for `detect` or longer; judged from another thread. The last probe was
    /// `posted` then.
    pub(crate) fn stillness(&self, now: Nanos, posted: Nanos, detect: Nanos) -> Stillness {
        let mut state = self.state.lock();
        let Some(usage) = state.usage(now) else {
            // A thread that was a worker beside its own work may have ended, with what funded it.
            return if state.clock.is_some() { Stillness::Blocked } else { Stillness::Runs };
        };
        let State { clock: Some(clock), still, family, .. } = &mut *state else {
            return Stillness::Runs;
        };
        let mut stillness = still.look(usage, posted, detect, || clock.sleeps());
        if stillness == Stillness::Blocked
            && !clock.tells_state()
            && still.lasts(now) < UNTOLD * detect
        {
            stillness = Stillness::Sleeps;
        }
        if stillness != Stillness::Blocked {
            family.forget();
            return stillness;
        }
        match clock.waits_for_lock() {
            // For a thread of this process, whatever its children do.
            Some(true) => return Stillness::Blocked,
            Some(false) => {}
            // It has woken just now.
            None => return Stillness::Runs,
        }
        let Some(kin) = clock.family() else { return Stillness::Blocked };
        match family.look(now, kin) {
            Doings::Works => Stillness::Runs,
            Doings::Unknown => Stillness::Sleeps,
            Doings::Rests => Stillness::Blocked,
        }
    }
}

#[cfg(target_os = "linux")]
pub(super) mod system {
    use std::mem::MaybeUninit;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use crate::gate::family::{self, Kin};
    use crate::governor::policy::Place;

    /// The clock that runs while a thread does.
    #[derive(Debug)]
    pub(super) struct Clock {
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
        pub(super) fn of_this_thread(base: u64) -> Option<Clock> {
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
        pub(super) fn read(&self) -> Option<Duration> {
            read(self.id)
        }

        /// Whether the thread sleeps, be it for a lock, a file or a child, rather than runs or
        /// waits for a core.
        ///
        /// Where this cannot be [told](Self::tells_state) it counts as asleep, and its clock alone decides. Otherwise a
        /// worker that blocks would never be noticed.
        pub(super) fn sleeps(&self) -> bool {
            state(&self.stat).is_none_or(|state| matches!(state, b'S' | b'D'))
        }

        /// Whether the thread's state can be read; not without `/proc`, nor without a descriptor to spare.
        pub(super) fn tells_state(&self) -> bool {
            state(&self.stat).is_some()
        }

        /// Has the kernel tell nothing but the clock from now on.
        #[cfg(test)]
        pub(super) fn lose_proc(&mut self) {
            for path in [&mut self.folder, &mut self.stat, &mut self.call] {
                *path = PathBuf::from("/nowhere");
            }
        }

        /// What the child processes of the thread do; `None`: there are none, or the kernel does not tell.
        pub(super) fn family(&self) -> Option<Kin> {
            family::of(&self.folder)
        }

        /// Whether the thread sleeps until another one of this process wakes it, if that can be told: the kernel does
        /// not where the process has changed its user. `None`: it does not sleep.
        pub(super) fn waits_for_lock(&self) -> Option<bool> {
            match self.place() {
                Some(place) => Some(i64::try_from(place.call) == Ok(libc::SYS_futex)),
                None => self.sleeps().then_some(false),
            }
        }

        /// Where the thread sleeps; `None`: it does not, or the kernel does not tell.
        ///
        /// The kernel tells the number of the system call, its six arguments in hexadecimal, the stack pointer
        /// and where the call was made (proc_pid_syscall(5)); for a thread that is falling asleep, once it has.
        pub(super) fn place(&self) -> Option<Place> {
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
    pub(super) fn waited() -> Option<Duration> {
        let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(told.split_whitespace().nth(1)?.parse().ok()?))
    }

    /// How often the current thread has gone to sleep.
    pub(super) fn sleeps() -> Option<i64> {
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
    pub(super) struct Clock(std::convert::Infallible);

    impl Clock {
        pub(super) fn of_this_thread(_: u64) -> Option<Clock> {
            None
        }

        pub(super) fn read(&self) -> Option<Duration> {
            match self.0 {}
        }

        pub(super) fn sleeps(&self) -> bool {
            match self.0 {}
        }

        pub(super) fn place(&self) -> Option<Place> {
            match self.0 {}
        }

        pub(super) fn family(&self) -> Option<crate::gate::family::Kin> {
            match self.0 {}
        }

        pub(super) fn waits_for_lock(&self) -> Option<bool> {
            match self.0 {}
        }

        pub(super) fn tells_state(&self) -> bool {
            match self.0 {}
        }
    }

    pub(super) fn waited() -> Option<Duration> {
        None
    }

    pub(super) fn sleeps() -> Option<i64> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::hint::spin_loop;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Instant;

    use rayon_core::ThreadPoolBuilder;

    use super::*;
    use crate::gate::depth::{Attendant, attend};

    /// Waits until the worker `is` so.
    fn wait_until(is: impl Fn() -> bool) {
        let born = Instant::now();
        while !is() {
            assert!(born.elapsed() < Duration::from_secs(60), "it is not so for so long");
            thread::yield_now();
        }
    }

    #[test]
    fn a_worker_is_seen_to_sleep_and_to_run_and_starves_until_it_has_had_a_core() {
        let (seat, over) = (Seat::default(), AtomicBool::new(false));
        let (call, calls) = mpsc::channel::<()>();
        let (sit, sat) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(|| {
                seat.occupy(0);
                sit.send(()).expect("the test waits");
                for () in calls {
                    while !over.load(Ordering::Relaxed) {
                        spin_loop();
                    }
                }
            });
            sat.recv().expect("it sits");
            wait_until(|| seat.sleeps());
            seat.stirred();
            assert_eq!((seat.stirred(), seat.starves()), (Some(0), false), "it waits for calls");
            call.send(()).expect("it waits for calls");
            wait_until(|| seat.stirred().expect("Linux tells") > 0);
            seat.await_probe();
            wait_until(|| !seat.starves());
            // It has run since, and that is not forgotten when another has the core.
            assert_eq!((0..1_000).filter(|_| seat.starves()).count(), 0);
            over.store(true, Ordering::Relaxed);
            drop(call);
        });
    }

    /// A worker that has no core for a while must not be taken for one that blocks.
    #[test]
    fn without_proc_a_worker_counts_as_blocked_only_after_much_longer() {
        let seat = Seat::default();
        let (sit, sat) = mpsc::channel();
        let (over, ends) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let seat = &seat;
            scope.spawn(move || {
                seat.occupy(0);
                sit.send(()).expect("the test waits");
                let _ = ends.recv();
            });
            sat.recv().expect("it sits");
            wait_until(|| seat.sleeps());
            let detect = 10_000_000;
            let look = |now| seat.stillness(now, 0, detect);
            let found = |times: [Nanos; 4]| times.map(|time| look(time * detect));
            assert_eq!(found([0, 1, 2, 3])[2..], [Stillness::Blocked; 2]);
            seat.state.lock().clock.as_mut().expect("Linux tells").lose_proc();
            assert_eq!(look(4 * detect), Stillness::Sleeps);
            assert_eq!(look((UNTOLD + 1) * detect), Stillness::Blocked);
            drop(over);
        });
        // Its clock goes with it, a moment after its closure has ended.
        wait_until(|| seat.stillness(0, 0, Nanos::MAX / UNTOLD) == Stillness::Blocked);
    }

    /// Seats workers.
    struct Usher(Vec<Seat>);

    impl Attendant for Usher {
        fn worker_started(self: Arc<Self>, index: usize) {
            self.0[index].occupy(0);
        }
        fn probe_taken(&self, _: Option<usize>, _: bool) {}
        fn summoned(&self, _: Option<usize>) {}
    }

    #[test]
    fn idle_workers_sleep_at_one_place_and_those_in_jobs_that_wait_at_others() {
        let usher = Arc::new(Usher((0..3).map(|_| Seat::default()).collect()));
        let builder = attend(ThreadPoolBuilder::new().num_threads(3), Arc::clone(&usher) as _);
        let pool = builder.build().expect("three threads");
        let places = || usher.0.iter().map(|seat| seat.naps(0).flatten()).collect::<Vec<_>>();
        wait_until(|| places().windows(2).all(|pair| pair[0].is_some() && pair[0] == pair[1]));
        let idle = places()[0];

        let (begin, begun) = mpsc::channel();
        let (end, ends) = mpsc::channel::<()>();
        thread::scope(|scope| {
            scope.spawn(|| {
                // One worker waits for the scope, another one in the scope's job, which it has stolen.
                pool.scope(move |scope| {
                    scope.spawn(move |_| {
                        begin.send(()).expect("it is waited for");
                        ends.recv().expect("the test ends it");
                    });
                    begun.recv().expect("somebody is idle");
                });
            });
            let elsewhere = |place: &&Option<Place>| place.is_some() && **place != idle;
            wait_until(|| places().iter().filter(elsewhere).count() == 2);
            wait_until(|| places().contains(&idle));
            end.send(()).expect("it waits for that");
        });
        wait_until(|| places().iter().all(|&place| place == idle));
        let told = usher.0[0].judge_self(0, 3, 0).slept_at;
        assert_eq!(told, idle, "it has not run since it was seen there");
    }
}
