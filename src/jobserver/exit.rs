//! Giving the tokens back when the process ends, which rayon's global pool does not notice.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::home::{Home, unless_done};
use super::ledger::Ledger;
use crate::sync::Mutex;

/// Connections, and the processes that have made them.
type Ledgers = Mutex<Vec<(u32, Weak<Ledger>)>>;

/// Each process has one of these lists, for its connections. A forked child has another one than its parent, whose
/// lock may have been held by a thread that the child does not have.
static LEDGERS: [Ledgers; 8] = [const { Mutex::new(Vec::new()) }; 8];

/// The process that has returned from `main`, called `exit`, or is about to die otherwise.
static ENDING: AtomicU32 = AtomicU32::new(0);

/// How long the end of the process waits for other threads that are connecting or giving back. Longer than
/// [`PIPE_PATIENCE`], which whoever gives back may have to wait for with the lock held.
const LEDGER_PATIENCE: Duration = Duration::from_secs(1);

/// How long the end of the process waits for room in a pipe, or for a lock that is only held for a moment. A pipe has
/// room for all its tokens, so only stray bytes of somebody else's can fill it.
pub(super) const PIPE_PATIENCE: Duration = Duration::from_millis(100);

/// Makes a new ledger give its tokens back when `main` returns or `exit` is called.
pub(super) fn give_back_at_exit(ledger: &Arc<Ledger>) {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    unless_done(&REGISTERED, register);
    // Not without end: the ninth generation of forked processes shares a list with the first.
    if let Some(mut ledgers) = Home::here().pick(&LEDGERS).lock_within(LEDGER_PATIENCE) {
        ledgers.retain(|(_, ledger)| ledger.strong_count() > 0);
        ledgers.push((std::process::id(), Arc::downgrade(ledger)));
    }
    if ENDING.load(Ordering::SeqCst) == std::process::id() {
        // Whoever gives everything back may have gone through the list before this was in it.
        ledger.close_unused();
    }
}

/// Gives back all tokens that this process holds, and takes none any more.
///
/// A process does this by itself when `main` returns, when `exit` is called, and before a panic in
/// a spawned job aborts it. Any other end loses the tokens for the whole build, unless this is called
/// first: `exec` above all, and `abort`.
///
/// It closes every connection made so far, for good: no token can be taken by way of it again. Jobs that run go on
/// uncounted, so call it last of all. If the process lives on, a pool's workers give up what they ran on as they come
/// to the end of their work, until it has the own slot alone. In a child made by `fork` it does nothing: the tokens are
/// the parent's.
///
/// ```
/// # #[cfg(unix)] {
/// use std::os::unix::process::CommandExt;
/// use std::process::Command;
///
/// use rayon_jobserver::Jobserver;
///
/// let mut successor = Command::new("true");
/// // What runs on in this process has its own slot, and the way to the tokens.
/// Jobserver::inherited().configure(&mut successor)?;
/// rayon_jobserver::give_back();
/// return Err(successor.exec().into());
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn give_back() {
    // A child made by the bare system call is not counted as a fork and has a copy of this list, but the tokens are
    // its parent's.
    let me = std::process::id();
    // Not without end: a signal's handler that exits may have interrupted the very thread that holds the lock.
    let Some(ledgers) = Home::here().pick(&LEDGERS).lock_within(LEDGER_PATIENCE) else { return };
    for (_, ledger) in ledgers.iter().filter(|&&(owner, _)| owner == me) {
        if let Some(ledger) = ledger.upgrade() {
            ledger.close_at_exit(LEDGER_PATIENCE);
        }
    }
}

/// The same, and no connection that is made from now on takes any either: the process is about to end.
pub(crate) fn give_back_at_last() {
    ENDING.store(std::process::id(), Ordering::SeqCst);
    give_back();
}

#[cfg(unix)]
fn register() {
    // SAFETY: the function is `extern "C"`, unwinds nowhere, and lives as long as the program:
    // this crate is no plug-in that could be unloaded before the process ends.
    let refused = unsafe { libc::atexit(at_exit) } != 0;
    if refused {
        // All handlers have been called; or there is no memory for one more.
        ENDING.store(std::process::id(), Ordering::SeqCst);
    }
}

/// Elsewhere the kernel's semaphores are what remains, and nothing is given back at exit.
#[cfg(not(unix))]
fn register() {}

#[cfg(unix)]
extern "C" fn at_exit() {
    give_back_at_last();
}
