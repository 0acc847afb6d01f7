//! Whether a worker waits for a latch of its own, by the depth of its stack.
//!
//! A worker that takes a probe in rayon's main loop does so through the same frames every time,
//! whatever pool it belongs to; one that takes it while it waits within a job does so deeper down
//! (or on a stack of its own making). So there is one depth that means "at top level", and a pool
//! of one thread that has never run anything else tells it.

use std::cell::Cell;
use std::sync::{Arc, mpsc};

use rayon_core::{BroadcastContext, ThreadPool, ThreadPoolBuilder};

use crate::jobserver::OncePerProgram;

thread_local! {
    /// Where this worker's stack began when it started; 0 on a thread that is no worker of ours.
    static BASE: Cell<usize> = const { Cell::new(0) };

    /// Where on its stack this thread took its last probe.
    static LAST: Cell<usize> = const { Cell::new(0) };

    /// How many summonses this worker has come to.
    static SUMMONSES: Cell<u64> = const { Cell::new(0) };
}

/// Is told of workers that start, and of workers that come to jobs of ours.
pub(crate) trait Attendant: Send + Sync {
    fn worker_started(self: Arc<Self>, index: usize);
    /// `moved`: elsewhere on its stack than its last probe, so the worker has begun or ended a wait since.
    fn probe_taken(&self, depth: Option<usize>, moved: bool);
    fn summoned(&self, depth: Option<usize>);
}

/// A job of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Whoever has nothing else to do finds it in the injector.
    Probe,
    /// Each worker has a copy in its own queue, and comes to it before it steals.
    Summons,
}

/// Gives a pool the start handler whose frame is the mark that depths are measured from.
///
/// Depths compare only if the very same code is behind them. So every pool is given its handler
/// here and every errand is posted in [`post`]: neither function may be inlined, lest the compiler
/// make copies of the closures with frames of their own.
#[inline(never)]
pub(crate) fn attend(
    builder: ThreadPoolBuilder,
    attendant: Arc<dyn Attendant>,
) -> ThreadPoolBuilder {
    builder.start_handler(move |index| {
        let mark = 0_u8;
        BASE.set((&raw const mark).addr());
        Arc::clone(&attendant).worker_started(index);
    })
}

/// Posts an errand in `pool`, or in the global pool. Not to be called on a worker of that pool.
#[inline(never)]
pub(crate) fn post(pool: Option<&ThreadPool>, attendant: Arc<dyn Attendant>, errand: Errand) {
    match errand {
        Errand::Probe => {
            let probe = move || {
                let mark = 0_u8;
                let here = (&raw const mark).addr();
                attendant.probe_taken(depth_of(here), LAST.replace(here) != here);
            };
            match pool {
                Some(pool) => pool.spawn(probe),
                None => rayon_core::spawn(probe),
            }
        }
        Errand::Summons => {
            let summons = move |_: BroadcastContext<'_>| {
                let mark = 0_u8;
                SUMMONSES.set(SUMMONSES.get() + 1);
                attendant.summoned(depth_of((&raw const mark).addr()));
            };
            match pool {
                Some(pool) => pool.spawn_broadcast(summons),
                None => rayon_core::spawn_broadcast(summons),
            }
        }
    }
}

/// `None` on a thread that joined the pool without passing the start handler, and above the base, as on a
/// stack segment of the job's own.
fn depth_of(mark: usize) -> Option<usize> {
    BASE.get().checked_sub(mark).filter(|_| BASE.get() != 0)
}

/// Where the stack of the current worker began; 0 if it joined the pool without passing the start handler.
pub(super) fn base() -> u64 {
    BASE.get() as u64
}

/// How many summonses the current worker has come to.
pub(super) fn summonses() -> u64 {
    SUMMONSES.get()
}

/// Whether a worker that came to an errand at this depth was within a wait.
pub(crate) fn is_nested(errand: Errand, depth: Option<usize>) -> bool {
    let top = top_level().map(|TopLevel { probe, summons }| match errand {
        Errand::Probe => probe,
        Errand::Summons => summons,
    });
    !matches!((depth, top), (Some(depth), Some(top)) if depth <= top)
}

/// The depths at which a worker comes to errands in its main loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TopLevel {
    probe: usize,
    summons: usize,
}

/// `None` if no thread could be started to measure them: then everybody counts as nested, which
/// costs speed and nothing else.
pub(crate) fn top_level() -> Option<TopLevel> {
    static DEPTHS: OncePerProgram<Option<TopLevel>> = OncePerProgram::new();
    *DEPTHS.get_or_init(measure)
}

fn measure() -> Option<TopLevel> {
    struct Surveyor(mpsc::SyncSender<Option<usize>>);
    impl Surveyor {
        fn note(&self, depth: Option<usize>) {
            // The receiver waits; if it were gone, nobody would want to know.
            let _ = self.0.send(depth);
        }
    }
    impl Attendant for Surveyor {
        fn worker_started(self: Arc<Self>, _: usize) {}
        fn probe_taken(&self, depth: Option<usize>, _moved: bool) {
            self.note(depth);
        }
        fn summoned(&self, depth: Option<usize>) {
            self.note(depth);
        }
    }
    let (send, receive) = mpsc::sync_channel(1);
    let surveyor: Arc<dyn Attendant> = Arc::new(Surveyor(send));
    let builder = ThreadPoolBuilder::new().num_threads(1);
    let pool = attend(builder, Arc::clone(&surveyor)).build().ok()?;
    let depth = |errand| {
        post(Some(&pool), Arc::clone(&surveyor), errand);
        receive.recv().ok().flatten()
    };
    Some(TopLevel { probe: depth(Errand::Probe)?, summons: depth(Errand::Summons)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Note(mpsc::SyncSender<bool>);

    impl Note {
        fn note(&self, errand: Errand, depth: Option<usize>) {
            self.0.send(is_nested(errand, depth)).expect("the test waits");
        }
    }

    impl Attendant for Note {
        fn worker_started(self: Arc<Self>, _: usize) {}
        fn probe_taken(&self, depth: Option<usize>, _moved: bool) {
            self.note(Errand::Probe, depth);
        }
        fn summoned(&self, depth: Option<usize>) {
            self.note(Errand::Summons, depth);
        }
    }

    #[test]
    fn depth_tells_a_wait_from_the_main_loop() {
        for errand in [Errand::Probe, Errand::Summons] {
            let (send, receive) = mpsc::sync_channel(1);
            let note: Arc<dyn Attendant> = Arc::new(Note(send));
            let builder = ThreadPoolBuilder::new().num_threads(1);
            let pool = attend(builder, Arc::clone(&note)).build().expect("one thread");
            post(Some(&pool), Arc::clone(&note), errand);
            assert_eq!(receive.recv(), Ok(false), "{errand:?} in the main loop");
            let (outer, inner) = (mpsc::channel(), mpsc::channel());
            pool.spawn(move || {
                // While this job waits for a scope, the only worker comes to the errand.
                rayon_core::in_place_scope(|scope| {
                    outer.0.send(()).expect("the test waits");
                    let () = inner.1.recv().expect("the test answers");
                    scope.spawn(|_| ());
                    while rayon_core::yield_now() == Some(rayon_core::Yield::Executed) {}
                });
            });
            outer.1.recv().expect("the job has begun");
            post(Some(&pool), Arc::clone(&note), errand);
            inner.0.send(()).expect("the job waits");
            assert_eq!(receive.recv(), Ok(true), "{errand:?} within a job");
        }
    }
}
