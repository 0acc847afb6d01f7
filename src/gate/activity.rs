//! How much a worker's thread has run, according to the kernel.

use std::time::Duration;

use super::clock::{self, Clock};
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
    clock: Option<Clock>,
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
        self.state.lock().clock = Clock::of_this_thread(depth::base());
        self.survey(now);
    }

    /// Judges what the worker, on whose thread this is called, one of so many, has done since it was last seen.
    /// It took a probe that had `lain` so long.
    pub(crate) fn judge_self(&self, now: Nanos, workers: usize, lain: Nanos) -> Past {
        // This reads a file: only when it matters, and before the lock is taken.
        let waited = if lain < LATE { None } else { clock::waited() };
        let mut state = self.state.lock();
        let Some(usage) = state.usage(now) else {
            // Where the system does not tell, taking a probe has to pass for a sign of idleness.
            return Past { judged: Judged::Quiet, late: false, slept_at: None };
        };
        let usage = Usage { sleeps: clock::sleeps(), ..usage };
        let waited = waited.and_then(|waited| state.waited_since(waited));
        let late = waited.is_some_and(|waited| state.record.is_late(usage, lain, waited));
        let slept_at = state.nap.end(usage.cpu);
        Past { judged: state.record.judge(usage, workers), late, slept_at }
    }

    /// The worker, on whose thread this is called, is admitted anew.
    pub(crate) fn resume_self(&self, now: Nanos) {
        let mut state = self.state.lock();
        if let Some(usage) = state.usage(now) {
            state.record.begin(Usage { sleeps: clock::sleeps(), ..usage });
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

    /// The same, and sees it, so that it is told once.
    pub(crate) fn count_anew(&self, now: Nanos) -> Nanos {
        let ran = self.count(now);
        self.survey(now);
        ran
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
        self.state.lock().clock.as_ref().is_some_and(Clock::sleeps)
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
