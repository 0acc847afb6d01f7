//! Giving the tokens back before a signal ends the process.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::{io, thread};

use libc::{SIGHUP, SIGINT, SIGTERM, c_int};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::jobserver::{Home, give_back_at_last};
use crate::sync::Mutex;

/// The signals that people and build tools end a process with, as far as they can be caught.
const DEADLY: [c_int; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Makes SIGINT, SIGTERM and SIGHUP give the tokens back before they end the process, which then
/// dies by the same signal.
///
/// Needs the feature `signals`, on Unix.
///
/// A signal that has a handler or is ignored (as SIGHUP is under `nohup`) when this is called is left
/// alone. A handler that is installed later replaces this one for good, even if it calls this one in turn. So
/// install your own first. With the crate `signal-hook` you must, or the process ends in spite of your
/// handler. A handler that ends the process by `exit` needs nothing else; one that ends it in another way
/// can call [`give_back`](crate::give_back).
///
/// A thread of this crate gives the tokens back, not the handler, so it does not matter what code the
/// signal interrupts. A child made by `fork` dies by the signal at once, and `exec` leaves no trace of
/// this. Further calls do nothing.
///
/// # Errors
///
/// If the thread cannot be started, or the system refuses a handler or the pipe that it writes to.
///
/// ```
/// rayon_jobserver::give_back_on_signals()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn give_back_on_signals() -> io::Result<()> {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock();
    if !*done {
        start()?;
        *done = true;
    }
    Ok(())
}

/// Starts the thread and waits until it has its handlers. The thread comes first: handlers without
/// one would make the process immune to the signals.
fn start() -> io::Result<()> {
    let (send, receive) = mpsc::sync_channel(1);
    thread::Builder::new().name("jobserver-signals".to_owned()).spawn(move || {
        let handled = Handled::install();
        let (handled, outcome) = match handled {
            Ok(handled) => (Some(handled), Ok(())),
            Err(error) => (None, Err(error)),
        };
        // The other side waits.
        let _ = send.send(outcome);
        if let Some(handled) = handled {
            handled.attend();
        }
    })?;
    receive.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))
}

/// Signals that nobody else had a handler for.
struct Handled {
    signals: Signals,
    /// With the handler that has been installed for each.
    ours: Vec<(c_int, usize)>,
}

impl Handled {
    fn install() -> io::Result<Self> {
        let mut unclaimed = Vec::new();
        for signal in DEADLY {
            if handler_of(signal)? == libc::SIG_DFL {
                unclaimed.push(signal);
            }
        }
        // What may fail comes first, so that it leaves nothing behind if it does.
        let signals = Signals::new::<_, c_int>([])?;
        let attended = Arc::new(AtomicBool::new(false));
        let mut ours = Vec::new();
        for signal in unclaimed {
            // Before the other handler: they run in the order in which they were registered.
            die_if_unattended(signal, &attended)?;
            signals.add_signal(signal)?;
            ours.push((signal, handler_of(signal)?));
        }
        attended.store(true, Ordering::Relaxed);
        Ok(Handled { signals, ours })
    }

    /// Waits for the signal that ends the process.
    fn attend(mut self) {
        for signal in &mut self.signals {
            let claimed_since = |&(ours, handler): &(c_int, usize)| {
                ours == signal && handler_of(signal).is_ok_and(|current| current != handler)
            };
            if !self.ours.iter().any(claimed_since) {
                give_back_at_last();
                // Does not come back for these signals.
                let _ = low_level::emulate_default_handler(signal);
            }
        }
    }
}

/// Lets the signal kill at once where no thread attends to it: in a forked child, and until all handlers are there.
fn die_if_unattended(signal: c_int, attended: &Arc<AtomicBool>) -> io::Result<()> {
    let (home, attended) = (Home::here(), Arc::clone(attended));
    let action = move || {
        if !home.is_here() || !attended.load(Ordering::Relaxed) {
            let _ = low_level::emulate_default_handler(signal);
        }
    };
    // SAFETY: the action reads two atomics and makes system calls that handlers may make; it neither
    // allocates, locks nor panics.
    unsafe { low_level::register(signal, action) }.map(drop)
}

/// The address of a signal's handler, or what stands for none.
fn handler_of(signal: c_int) -> io::Result<usize> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action, the call only writes the present one to where it is told.
    if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded, and so has written it.
    let action = unsafe { action.assume_init() };
    Ok(action.sa_sigaction)
}
