//! Giving the tokens back when the process ends, which rayon's global pool does not notice.

use std::sync::{Arc, Once, Weak};

use parking_lot::Mutex;

use super::ledger::Ledger;

/// The ledgers whose tokens other processes wait for, and the process they belong to.
static LEDGERS: Mutex<Vec<(u32, Weak<Ledger>)>> = Mutex::new(Vec::new());

/// Makes a ledger give its tokens back when `main` returns or `exit` is called.
pub(super) fn give_back_at_exit(ledger: &Arc<Ledger>) {
    let mut ledgers = LEDGERS.lock();
    ledgers.retain(|(_, ledger)| ledger.strong_count() > 0);
    ledgers.push((std::process::id(), Arc::downgrade(ledger)));
    drop(ledgers);

    static HOOK: Once = Once::new();
    HOOK.call_once(register);
}

#[cfg(unix)]
fn register() {
    // SAFETY: the function is `extern "C"`, unwinds nowhere, and lives as long as the program:
    // this crate is no plug-in that could be unloaded before the process ends.
    let refused = unsafe { libc::atexit(at_exit) };
    // A full table (never below 32 entries) means no more than that nothing is given back at exit.
    debug_assert_eq!(refused, 0);
}

/// Elsewhere the kernel's semaphores are what remains, and nothing is given back at exit.
#[cfg(not(unix))]
fn register() {}

#[cfg(unix)]
extern "C" fn at_exit() {
    // A forked child has a copy of the records, but the tokens are its parent's.
    let me = std::process::id();
    // Whoever exits while it holds the lock waits for itself in vain otherwise.
    let Some(ledgers) = LEDGERS.try_lock() else { return };
    for (owner, ledger) in ledgers.iter() {
        if *owner == me
            && let Some(ledger) = ledger.upgrade()
        {
            ledger.close_at_exit();
        }
    }
}
