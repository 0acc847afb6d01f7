//! A jobserver for the fork's workers as rustc has it: who runs is counted, a thread asks for tokens.
//!
//! The first to run does so on the own slot. Each one more asks the helper thread for a token and
//! waits for whatever comes first: that token, or the slot of one that stops running.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jobserver::{Acquired, Client, HelperThread};
use parking_lot::{Condvar, Mutex};

/// Dropped, it ends the helper thread.
pub(crate) struct Proxy {
    state: Arc<State>,
    helper: HelperThread,
}

/// Shared with the helper thread, which must not keep the proxy alive that ends it.
struct State {
    client: Client,
    threads: Mutex<Threads>,
    granted: Condvar,
    /// Tokens read from the jobserver, whether anybody still wanted them or not.
    taken: AtomicU64,
}

struct Threads {
    /// Those that run. The first runs on the own slot, so one token less is held.
    used: usize,
    /// Those that wait, and were not granted anything yet.
    pending: usize,
    /// Grants that no waiting thread has seen yet.
    grants: usize,
}

impl Proxy {
    /// The current thread counts as running.
    pub(crate) fn new(client: Client) -> io::Result<Self> {
        let threads = Mutex::new(Threads { used: 1, pending: 0, grants: 0 });
        let taken = AtomicU64::new(0);
        let state = Arc::new(State { client, threads, granted: Condvar::new(), taken });
        let shared = Arc::clone(&state);
        let helper = state.client.clone().into_helper_thread(move |token| {
            shared.supply(token.expect("a pipe of our own can be read"));
        })?;
        Ok(Proxy { state, helper })
    }

    /// Waits until the current thread may run.
    pub(crate) fn acquire_thread(&self) {
        let mut threads = self.state.threads.lock();
        if threads.used == 0 {
            threads.used = 1; // the own slot
            return;
        }
        threads.pending += 1;
        self.helper.request_token();
        while threads.grants == 0 {
            self.state.granted.wait(&mut threads);
        }
        threads.grants -= 1;
    }

    /// The current thread no longer runs.
    pub(crate) fn release_thread(&self) {
        let mut threads = self.state.threads.lock();
        if threads.pending > 0 {
            self.state.grant(&mut threads);
            return;
        }
        threads.used -= 1;
        if threads.used > 0 {
            drop(threads);
            self.state.client.release_raw().expect("a pipe of our own can be written");
        }
    }

    pub(crate) fn taken(&self) -> u64 {
        self.state.taken.load(Ordering::Relaxed)
    }
}

impl State {
    fn supply(&self, token: Acquired) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let mut threads = self.threads.lock();
        if threads.pending > 0 {
            token.drop_without_releasing();
            threads.used += 1;
            self.grant(&mut threads);
        } else {
            // Whoever asked for it runs on another's by now.
            drop(threads);
            drop(token);
        }
    }

    fn grant(&self, threads: &mut Threads) {
        threads.pending -= 1;
        threads.grants += 1;
        self.granted.notify_one();
    }
}
