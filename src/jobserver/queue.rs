//! Waiting until a token lies in a pipe, without reading it.

use std::io;
use std::os::fd::AsFd;

#[cfg(target_os = "linux")]
pub(super) use exclusive::Queue;
#[cfg(not(target_os = "linux"))]
pub(super) use shared::Queue;

/// Runs a system call again for as long as a signal interrupts it.
fn uninterrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    rustix::io::retry_on_intr(&mut call).map_err(io::Error::from)
}

/// A place among the readers that the kernel wakes one at a time, one for each token, in the order in which they came.
///
/// A blocking read has a place in the same queue, but cannot be withdrawn: a token that it takes
/// while the process exits is lost. Those who `poll` are all woken at once, and mostly come too late.
#[cfg(target_os = "linux")]
mod exclusive {
    use std::os::fd::OwnedFd;

    use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;

    use super::super::exit::PIPE_PATIENCE;
    use super::{AsFd, io, uninterrupted};
    use crate::sync::Mutex;

    /// How long whoever waits does so at most before it looks whether it still wants a token, and whether one lies
    /// there unannounced: the kernel tells one reader of each, who may be killed or stopped before it reads.
    const AGAIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

    fn lies(pipe: impl AsFd) -> io::Result<bool> {
        let mut ends = [PollFd::new(&pipe, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(uninterrupted(|| poll(&mut ends, Some(&at_once)))? > 0)
    }

    #[derive(Debug)]
    pub(crate) struct Queue {
        epoll: OwnedFd,
        /// Nobody waits again; held while the pipe is entered.
        closed: Mutex<bool>,
    }

    impl Queue {
        pub(crate) fn new() -> io::Result<Self> {
            let epoll = epoll::create(CreateFlags::CLOEXEC)?;
            Ok(Queue { epoll, closed: Mutex::new(false) })
        }

        /// Blocks until a token may lie in `pipe`, or for a while if none is `wanted` any more; for one thread at a
        /// time.
        pub(crate) fn wait(
            &self,
            pipe: impl AsFd + Copy,
            wanted: impl Fn() -> bool,
        ) -> io::Result<()> {
            // Entered anew each time, at the end: one that stayed in the queue would be served
            // before all who came later, again and again.
            {
                let closed = self.closed.lock();
                if *closed {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
                epoll::add(&self.epoll, pipe, EventData::new_u64(0), flags)?;
            }
            let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }];
            let outcome = loop {
                let told = match epoll::wait(&self.epoll, &mut events, Some(&AGAIN)) {
                    // Signals that keep coming would put off the next look for ever.
                    Err(Errno::INTR) => Ok(0),
                    told => told.map_err(io::Error::from),
                };
                match told {
                    Ok(0) if !wanted() => break Ok(()),
                    Ok(0) => match lies(pipe) {
                        Ok(false) => {}
                        Ok(true) => break Ok(()),
                        Err(error) => break Err(error),
                    },
                    outcome => break outcome.map(drop),
                }
            };
            // Fails if the queue was closed just now.
            let _ = epoll::delete(&self.epoll, pipe);
            outcome
        }

        /// Leaves the queue for good, so that no token is announced here instead of where it is
        /// waited for.
        pub(crate) fn close(&self, pipe: impl AsFd + Copy) {
            // Not without end: a signal's handler that exits may have interrupted a thread that is about to wait.
            if let Some(mut closed) = self.closed.lock_within(PIPE_PATIENCE) {
                *closed = true;
            }
            // Fails if nobody waits.
            let _ = epoll::delete(&self.epoll, pipe);
        }
    }

    #[cfg(test)]
    mod tests {
        use std::cell::Cell;

        use super::*;

        /// As by two processes, of which the one that it is announced to is killed.
        #[test]
        fn a_token_that_its_first_reader_leaves_there_is_seen_by_the_next() {
            use std::io::Write;

            let (read, mut write) = io::pipe().expect("a pipe");
            let queues = [(); 2].map(|()| Queue::new().expect("a descriptor is to be had"));
            std::thread::scope(|scope| {
                let read = &read;
                let both =
                    queues.each_ref().map(|queue| scope.spawn(move || queue.wait(read, || true)));
                write.write_all(b"+").expect("there is room");
                for waited in both.map(|thread| thread.join().expect("nobody panics")) {
                    waited.expect("a pipe can be waited for");
                }
            });
        }

        /// As by a signal whose handler exits, on the thread that is about to wait.
        #[test]
        fn the_end_of_the_process_waits_not_for_ever_for_whoever_enters() {
            let (read, _write) = io::pipe().expect("a pipe");
            let queue = Queue::new().expect("a descriptor is to be had");
            let entering = queue.closed.lock();
            queue.close(&read);
            drop(entering);
            queue.close(&read);
            queue.wait(&read, || true).expect_err("it is closed");
        }

        /// Else an idle process would wake for it each second, until a token came.
        #[test]
        fn nobody_waits_on_for_a_token_that_is_not_wanted_any_more() {
            let (read, _write) = io::pipe().expect("a pipe");
            let (queue, asked) = (Queue::new().expect("a descriptor is to be had"), Cell::new(0));
            let wanted = || asked.replace(asked.get() + 1) == 0;
            queue.wait(&read, wanted).expect("a pipe can be waited for");
            assert_eq!(asked.get(), 2);
        }

        /// Once each signal began the pause anew.
        #[test]
        fn signals_do_not_keep_anybody_waiting_for_a_token_that_is_not_wanted() {
            extern "C" fn nothing(_: libc::c_int) {}
            let handler = nothing as extern "C" fn(libc::c_int);
            // SAFETY: the handler does nothing, and no other test here uses this signal.
            unsafe { libc::signal(libc::SIGURG, handler as libc::sighandler_t) };
            let (read, _write) = io::pipe().expect("a pipe");
            let queue = Queue::new().expect("a descriptor is to be had");
            let (send, receive) = std::sync::mpsc::channel();
            let (end, ended) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| {
                    // SAFETY: always sound; names the calling thread.
                    send.send(unsafe { libc::pthread_self() }).expect("somebody listens");
                    let outcome = queue.wait(&read, || false);
                    end.send(()).expect("somebody listens");
                    outcome
                });
                let thread = receive.recv().expect("it is up");
                let pause = std::time::Duration::from_millis(10);
                let waited = (0..3_000).any(|_| {
                    // SAFETY: the thread has not been joined yet.
                    unsafe { libc::pthread_kill(thread, libc::SIGURG) };
                    ended.recv_timeout(pause).is_ok()
                });
                assert!(waited, "signals keep it there");
                waits.join().expect("nobody panics").expect("a pipe can be waited for");
            });
        }
    }
}

/// Among all who poll the pipe.
#[cfg(not(target_os = "linux"))]
mod shared {
    use rustix::event::{PollFd, PollFlags, poll};

    use super::{AsFd, io, uninterrupted};

    #[derive(Debug)]
    pub(crate) struct Queue(());

    impl Queue {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Queue(()))
        }

        /// Blocks until a token may lie in `pipe`.
        pub(crate) fn wait(
            &self,
            pipe: impl AsFd + Copy,
            _wanted: impl Fn() -> bool,
        ) -> io::Result<()> {
            let mut ends = [PollFd::new(&pipe, PollFlags::IN)];
            uninterrupted(|| poll(&mut ends, None)).map(drop)
        }

        /// Needs nothing: a token is announced to all who wait.
        pub(crate) fn close(&self, _pipe: impl AsFd + Copy) {}
    }
}
