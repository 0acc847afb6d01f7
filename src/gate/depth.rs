//! Whether a worker waits for a latch of its own, by the depth of its stack.
//!
//! A worker that takes a probe in rayon's main loop does so through the same frames every time,
//! whatever pool it belongs to; one that takes it while it waits within a job does so deeper down
//! (or on a stack of its own making). So there is one depth that means "at top level", and a pool
//! of one thread that has never run anything else tells it.

use std::cell::Cell;
use std::sync::{Arc, OnceLock, mpsc};

use rayon_core::{ThreadPool, ThreadPoolBuilder};

thread_local! {
    /// Where this worker's stack began when it started; 0 on a thread that is no worker of ours.
    static BASE: Cell<usize> = const { Cell::new(0) };
}

/// Somebody to be told of workers that start and probes that are taken.
pub(crate) trait Attendant: Send + Sync {
    fn worker_started(self: Arc<Self>, index: usize);
    fn probe_taken(&self, depth: Option<usize>);
}

/// Gives a pool the start handler whose frame is the mark that depths are measured from.
///
/// Depths compare only if the very same code is behind them. So every pool is given its handler
/// here and every probe is posted in [`post`]: neither function may be inlined, lest the compiler
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

/// Posts a probe, the job that whoever has nothing else to do finds in the injector of `pool`, or
/// of the global pool. Not to be called on a worker of that pool.
#[inline(never)]
pub(crate) fn post(pool: Option<&ThreadPool>, attendant: Arc<dyn Attendant>) {
    let probe = move || {
        let mark = 0_u8;
        let here = (&raw const mark).addr();
        // No depth on a thread that joined the pool without passing the start handler, nor above
        // the base, as on a stack segment of the job's own.
        let depth = BASE.get().checked_sub(here).filter(|_| BASE.get() != 0);
        attendant.probe_taken(depth);
    };
    match pool {
        Some(pool) => pool.spawn(probe),
        None => rayon_core::spawn(probe),
    }
}

/// Whether a probe taken at this depth was taken within a wait.
pub(crate) fn is_nested(depth: Option<usize>) -> bool {
    let top = top_level();
    !matches!((depth, top), (Some(depth), Some(top)) if depth <= top)
}

/// The depth at which a probe is taken at top level.
///
/// `None` if no thread could be started to measure it: then everybody counts as nested, which
/// costs speed and nothing else.
pub(crate) fn top_level() -> Option<usize> {
    static DEPTH: OnceLock<Option<usize>> = OnceLock::new();
    *DEPTH.get_or_init(measure)
}

fn measure() -> Option<usize> {
    struct Surveyor(mpsc::SyncSender<Option<usize>>);
    impl Attendant for Surveyor {
        fn worker_started(self: Arc<Self>, _: usize) {}
        fn probe_taken(&self, depth: Option<usize>) {
            // The receiver waits; if it were gone, nobody would want to know.
            let _ = self.0.send(depth);
        }
    }
    let (send, receive) = mpsc::sync_channel(1);
    let surveyor: Arc<dyn Attendant> = Arc::new(Surveyor(send));
    let builder = ThreadPoolBuilder::new().num_threads(1);
    let pool = attend(builder, Arc::clone(&surveyor)).build().ok()?;
    post(Some(&pool), surveyor);
    receive.recv().ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_tells_a_wait_from_the_main_loop() {
        struct Note(mpsc::SyncSender<bool>);
        impl Attendant for Note {
            fn worker_started(self: Arc<Self>, _: usize) {}
            fn probe_taken(&self, depth: Option<usize>) {
                self.0.send(is_nested(depth)).expect("the test waits");
            }
        }
        let (send, receive) = mpsc::sync_channel(1);
        let note: Arc<dyn Attendant> = Arc::new(Note(send));
        let builder = ThreadPoolBuilder::new().num_threads(1);
        let pool = attend(builder, Arc::clone(&note)).build().expect("one thread");
        post(Some(&pool), Arc::clone(&note));
        assert_eq!(receive.recv(), Ok(false), "taken in the main loop");
        let (outer, inner) = (mpsc::channel(), mpsc::channel());
        pool.spawn(move || {
            // While this job waits for a scope, the only worker takes the probe.
            rayon_core::in_place_scope(|scope| {
                outer.0.send(()).expect("the test waits");
                let () = inner.1.recv().expect("the test answers");
                scope.spawn(|_| ());
                while rayon_core::yield_now() == Some(rayon_core::Yield::Executed) {}
            });
        });
        outer.1.recv().expect("the job has begun");
        post(Some(&pool), Arc::clone(&note));
        inner.0.send(()).expect("the job waits");
        assert_eq!(receive.recv(), Ok(true), "taken within a job");
    }
}
