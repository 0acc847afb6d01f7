//! One jobserver for a whole compiler, modelled on rustc's own code.
//!
//! A front end calls [`initialize_checked`] once, early. From then on its threads ask for the
//! right to run with [`acquire_thread`] and give it up with [`release_thread`]. The thread that
//! initialises counts as running from the start, on the *own slot*: the one job that every process
//! may run without a token. Pools that share these tokens and that slot are built on [`client`].
//!
//! ```
//! use rayon_jobserver::{ThreadPoolBuilder, session};
//!
//! // `report` is the front end's way to warn; it is called at most once.
//! session::initialize_checked(|warning| eprintln!("warning: {warning}"));
//!
//! let pool = ThreadPoolBuilder::new().num_threads(8).jobserver(session::client()).build()?;
//! assert_eq!(pool.join(|| 6, || 7), (6, 7));
//!
//! let helper = std::thread::spawn(|| {
//!     session::acquire_thread();
//!     let sum: u32 = (1..=3).sum();
//!     session::release_thread();
//!     sum
//! });
//! // While this thread waits for another, its slot is free for that one.
//! session::release_thread();
//! assert_eq!(helper.join().unwrap(), 6);
//! session::acquire_thread();
//! # Ok::<(), rayon_jobserver::BuildError>(())
//! ```
//!
//! | rustc has | here |
//! |---|---|
//! | `initialize_checked` | the same |
//! | `client()` | a [`Jobserver`], for pools and children, not a `jobserver::Client` |
//! | `Proxy::acquire_thread`, `release_thread` | the functions of these names |
//! | `Client::into_helper_thread`, `request_token` | nothing: a thread that needs a token calls [`acquire_thread`] |
//!
//! # Threads that wait
//!
//! A thread that counts as running and waits for others holds what they may need: if no token is free,
//! it waits for ever. So it has to release before it waits, and acquire again afterwards. Calls into
//! pools that are built on [`client`] do this themselves, on a thread that has acquired: `install`,
//! `join`, `scope` and `broadcast` from their beginning, `in_place_scope` and `build_scoped` once their
//! closures have ended. So do this crate's functions for the global pool. They return when the thread
//! may run again; meanwhile it must not hold a lock that jobs of the pool need.
//!
//! **rayon's bare calls into the global pool do not release.** With no free token, as under
//! `make -j1`, they wait for ever on a thread that has acquired. Wrap them in
//! [`install`](crate::install()), or make them between [`release_thread`] and [`acquire_thread`].
//!
//! The workers of pools call none of these functions: their pools see to it. A thread that
//! has acquired and is also a worker, by
//! [`use_current_thread`](crate::ThreadPoolBuilder::use_current_thread), counts twice. Where only
//! one job may run, each acquire waits until its worker half
//! [is seen to block](crate::ThreadPoolBuilder::detect_blocking).

use std::cell::Cell;
use std::sync::Arc;

use crate::sync::Mutex;

use crate::Jobserver;
use crate::jobserver::{AnyFund, Demand, Fund, Ledger, OncePerProgram, Waiting};

/// The tokens of a session without a jobserver around it: with the own slot, 32 jobs.
///
/// A fixed number, so that a compiler does the same on every machine; not so many that nobody else
/// gets any of the machine.
const TOKENS: usize = 31;

static SESSION: OncePerProgram<Session> = OncePerProgram::new();

thread_local! {
    /// How often this thread has acquired and not released.
    static ACQUIRED: Cell<usize> = const { Cell::new(0) };
}

struct Session {
    jobserver: Jobserver,
    /// Locked before the ledger.
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    /// What pays for those that run; the own slot, if it is among them, is the first.
    funds: Vec<Fund>,
    /// The accounts of those that wait to run. When nobody runs any more, one of them starves.
    waiting: Vec<usize>,
}

/// Connects the process to the jobserver of its environment, and counts the current thread as
/// running.
///
/// If there is none, the process has a budget of 32 jobs, without a warning. One that is named but
/// cannot be used counts as none, and `report_warning` is told what is wrong, with the variable's
/// name and value. The connection is that of [`Jobserver::inherited`]: if a pool uses it
/// already, it stays as it is.
///
/// Only the first call has an effect, whichever thread makes it. Make it before pools are
/// built on the same connection: if one of them has the own slot, it waits for a token.
///
/// # Panics
///
/// In a child made by `fork` of a process that has made the connection.
#[track_caller]
pub fn initialize_checked(report_warning: impl FnOnce(&str)) {
    let mut warning = None;
    let session = SESSION.get_or_init(|| {
        let jobserver = Jobserver::inherited_or_new(TOKENS);
        warning = jobserver.warning().map(|warning| warning.to_string());
        let session = Session { jobserver, threads: Mutex::default() };
        session.jobserver.ledger().on_own_slot_free(|| {
            SESSION.get().into_iter().for_each(Session::exchange);
        });
        session.acquire();
        session
    });
    session.jobserver.ledger().home().insist();
    // In case the slot has come back meanwhile.
    session.exchange();
    // Outside `get_or_init`: nobody waits for it, and it may itself use the session.
    if let Some(warning) = warning {
        report_warning(&warning);
    }
}

/// The jobserver of the session, for pools, children and [`Jobserver::acquire`].
///
/// # Panics
///
/// Before [`initialize_checked`].
#[track_caller]
pub fn client() -> Jobserver {
    session().jobserver.clone()
}

/// Waits until one more thread may run: on the own slot if nobody in the process uses it, else on a
/// token.
///
/// Nothing is released by itself: a thread that ends or panics without [`release_thread`] keeps the right to
/// run until the process ends, and under `make -j1` everybody else then waits for ever. Release in a
/// `Drop`.
///
/// # Panics
///
/// Before [`initialize_checked`], and in a child made by `fork`.
#[track_caller]
pub fn acquire_thread() {
    session().acquire();
}

/// Gives up the right to run of one thread that has acquired it.
///
/// A token goes to whoever in the process waits for one, or else to the jobserver; the own slot, the
/// last to be given up, stays in the process. Another thread than the one that acquired may release. But
/// [calls into pools](self#threads-that-wait) lend only what the calling thread itself has acquired and not
/// released: where threads release for each other, each has to release before such a call, or a
/// pool may wait for what its caller keeps.
///
/// # Panics
///
/// Before [`initialize_checked`], in a child made by `fork`, and if no thread counts as running: one
/// release too many would let more run than there are tokens for.
#[track_caller]
pub fn release_thread() {
    let released = session().try_release();
    assert!(released, "`session::release_thread` without `session::acquire_thread`");
}

#[track_caller]
fn session() -> &'static Session {
    SESSION.get().expect("`session::initialize_checked` must be called before the session is used")
}

impl Session {
    #[track_caller]
    fn acquire(&self) {
        let ledger = self.jobserver.ledger();
        ledger.home().insist();
        let fund = ledger.try_take().unwrap_or_else(|| self.wait());
        let is_token = matches!(fund, AnyFund::Token(_));
        let mut threads = self.threads.lock();
        let place = if is_token { threads.funds.len() } else { 0 };
        threads.funds.insert(place, fund);
        drop(threads);
        ACQUIRED.set(ACQUIRED.get() + 1);
        if is_token {
            // In case the own slot came back when there was no token yet to exchange for it.
            self.exchange();
        }
    }

    /// Waits for something to run on.
    fn wait(&self) -> Fund {
        let ledger = self.jobserver.ledger();
        let mut threads = self.threads.lock();
        let starving = threads.funds.is_empty();
        let waiting = Waiting::begin(ledger, Demand { funds: 1, starving, tokens_only: false });
        threads.waiting.push(waiting.account());
        drop(threads);
        let fund = waiting.end();
        self.threads.lock().waiting.retain(|&account| account != waiting.account());
        fund
    }

    /// Takes the own slot instead of a token, if nobody else uses it: the token may be of use to
    /// other processes.
    fn exchange(&self) {
        let ledger = self.jobserver.ledger();
        let mut threads = self.threads.lock();
        if !matches!(threads.funds.first(), Some(AnyFund::Token(_))) {
            return;
        }
        let Some(own) = ledger.take_own() else { return };
        let token = std::mem::replace(&mut threads.funds[0], own);
        drop(threads);
        ledger.give(token);
    }

    /// Says whether any thread counted as running.
    #[track_caller]
    fn try_release(&self) -> bool {
        self.jobserver.ledger().home().insist();
        let mut threads = self.threads.lock();
        let Some(fund) = threads.funds.pop() else { return false };
        if threads.funds.is_empty()
            && let Some(&first) = threads.waiting.first()
        {
            // Before it is passed on, or it might go for good to a pool that does not need it, such as the
            // global one. The next thread in line is noted when this one releases.
            self.jobserver.ledger().insist(first);
        }
        drop(threads);
        ACQUIRED.set(ACQUIRED.get().saturating_sub(1));
        self.jobserver.ledger().give(fund);
        true
    }
}

/// What the current thread runs on, lent to a pool on `ledger` until this is dropped: the thread is
/// about to wait for that pool.
pub(crate) struct Loan(Option<&'static Session>);

impl Loan {
    #[track_caller]
    pub(crate) fn to(ledger: &Arc<Ledger>) -> Self {
        let mut loan = Loan(None);
        loan.begin(ledger);
        loan
    }

    /// What the current thread runs on, whoever may need it.
    pub(crate) fn to_anybody() -> Self {
        let session = SESSION.get().filter(|_| ACQUIRED.get() > 0);
        let session = session.filter(|session| session.jobserver.ledger().home().is_here());
        // Another thread may have released it on this one's behalf.
        Loan(session.filter(|session| session.try_release()))
    }

    pub(crate) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// For a thread that runs on for a while before it waits.
    pub(crate) fn none() -> Self {
        Loan(None)
    }

    /// Begins when the guard is dropped.
    pub(crate) fn upcoming<'a>(&'a mut self, ledger: &'a Arc<Ledger>) -> Upcoming<'a> {
        Upcoming { loan: self, ledger }
    }

    #[track_caller]
    fn begin(&mut self, ledger: &Arc<Ledger>) {
        if ACQUIRED.get() > 0
            && let Some(session) = SESSION.get()
            && Arc::ptr_eq(session.jobserver.ledger(), ledger)
            && session.try_release()
        {
            self.0 = Some(session);
        }
    }
}

/// A loan that begins when this is dropped.
pub(crate) struct Upcoming<'a> {
    loan: &'a mut Loan,
    ledger: &'a Arc<Ledger>,
}

impl Drop for Upcoming<'_> {
    fn drop(&mut self) {
        self.loan.begin(self.ledger);
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // A child forked meanwhile learns of that by the first call it makes.
        if let Some(session) = self.0.filter(|session| session.jobserver.ledger().home().is_here())
        {
            session.acquire();
        }
    }
}
