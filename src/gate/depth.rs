//! Whether a worker waits for a latch of its own, by the depth of its stack.
//!
//! A worker that takes a probe in rayon's main loop does so through the same frames every time,
//! whatever pool it belongs to; one that takes it while it waits within a job does so deeper down
//! (or on a stack of its own making). So there is one depth that means "at top level", and a pool
//! of one thread that has never run anything else tells it.

use std::cell::Cell;
use std::sync::{Arc, OnceLock, mpsc};

use rayon_core::ThreadPoolBuilder;

thread_local! {
    /// Where this worker's stack began when it started; 0 on a thread that is no worker of ours.
    static BASE: Cell<usize> = const { Cell::new(0) };
}

/// Somebody to be told of workers that start and probes that are taken.
pub(crate) trait Attendant: Send + Sync {
    fn worker_started(&self, index: usize);
    fn probe_taken(&self, depth: Option<usize>);
}

/// The start handler of every pool of ours. Its frame is the mark that depths are measured from.
pub(crate) fn start_handler(attendant: Arc<dyn Attendant>) -> impl Fn(usize) + Send + Sync {
    move |index| {
        let mark = 0_u8;
        BASE.set((&raw const mark).addr());
        attendant.worker_started(index);
    }
}

/// A probe: the job that whoever has nothing else to do finds in rayon's injector.
///
/// All probes are made here, so that all have the same frame.
pub(crate) fn probe(attendant: Arc<dyn Attendant>) -> impl FnOnce() + Send + 'static {
    move || {
        let mark = 0_u8;
        let here = (&raw const mark).addr();
        // No depth on a thread that joined the pool without passing the start handler, nor above
        // the base, as on a stack segment of the job's own.
        let depth = BASE.get().checked_sub(here).filter(|_| BASE.get() != 0);
        attendant.probe_taken(depth);
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
        fn worker_started(&self, _: usize) {}
        fn probe_taken(&self, depth: Option<usize>) {
            // The receiver waits; if it were gone, nobody would want to know.
            let _ = self.0.send(depth);
        }
    }
    let (send, receive) = mpsc::sync_channel(1);
    let surveyor: Arc<dyn Attendant> = Arc::new(Surveyor(send));
    let handler = start_handler(Arc::clone(&surveyor));
    let pool = ThreadPoolBuilder::new().num_threads(1).start_handler(handler).build().ok()?;
    pool.spawn(probe(surveyor));
    receive.recv().ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_tells_a_wait_from_the_main_loop() {
        struct Note(mpsc::SyncSender<bool>);
        impl Attendant for Note {
            fn worker_started(&self, _: usize) {}
            fn probe_taken(&self, depth: Option<usize>) {
                self.0.send(is_nested(depth)).expect("the test waits");
            }
        }
        let (send, receive) = mpsc::sync_channel(1);
        let note: Arc<dyn Attendant> = Arc::new(Note(send));
        let handler = start_handler(Arc::clone(&note));
        let pool = ThreadPoolBuilder::new().num_threads(1).start_handler(handler).build();
        let pool = pool.expect("one thread");
        pool.spawn(probe(Arc::clone(&note)));
        assert_eq!(receive.recv(), Ok(false), "taken in the main loop");
        pool.spawn({
            let note = Arc::clone(&note);
            move || rayon_core::scope(|scope| scope.spawn(|_| probe(note)()))
        });
        assert_eq!(receive.recv(), Ok(true), "taken within a scope's wait");
    }
}
