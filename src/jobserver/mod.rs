//! Where tokens come from. Knows nothing of rayon.

mod book;
mod broker;
mod connecting;
#[cfg(unix)]
mod end;
mod environment;
mod error;
mod exit;
mod home;
mod ledger;
#[cfg(unix)]
mod opening;
mod outstanding;
#[cfg(unix)]
mod pipe;
#[cfg(unix)]
mod queue;
#[cfg(unix)]
mod room;
mod source;
#[cfg(all(test, target_os = "linux"))]
mod tests;
mod token;

use std::fmt;
use std::process::Command;
use std::sync::Arc;

#[cfg(test)]
pub(crate) use book::{Book, Offer};
pub(crate) use book::{Demand, Fund as AnyFund};
pub use error::JobserverError;
pub use exit::give_back;
pub(crate) use exit::give_back_at_last;
pub(crate) use home::{Home, OncePerProgram};
pub(crate) use ledger::{Fund, Holder, Ledger};
pub use token::Token;
pub(crate) use token::{Resigned, Waiting};

/// Who else wants tokens, as far as this process can know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Market {
    /// Tokens lying in the jobserver. While one lies there, nobody outside waits.
    pub(crate) lying: usize,
    /// Another pool or thread of this process could use a token.
    pub(crate) rival: bool,
    /// Another pool of this process has jobs and not a single fund, or the tokens at hand went back at the
    /// [end](give_back) of the process.
    pub(crate) rival_starving: bool,
    /// Of what the asker holds something is a token, for which other processes may have a use.
    pub(crate) token: bool,
}

impl Market {
    /// Whether an idle token may be what somebody else waits for.
    pub(crate) fn contended(&self) -> bool {
        self.lying == 0 || self.rival || self.rival_starving
    }

    /// Whether somebody else could run on the last fund that the asker holds.
    pub(crate) fn wants_the_last(&self) -> bool {
        self.rival || (self.token && self.lying == 0)
    }
}

/// A connection to a jobserver, or a budget of this process alone.
///
/// Clones are the same connection: pools built on them share its tokens and the process's own
/// slot, the one job that may always run.
///
/// ```
/// use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Inside a build its jobserver; elsewhere three tokens, for four jobs at once.
/// let jobserver = Jobserver::inherited_or_new(3);
/// let pool = ThreadPoolBuilder::new().jobserver(jobserver.clone()).build()?;
/// assert_eq!(pool.install(|| 6 * 7), 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Jobserver {
    ledger: Arc<Ledger>,
    warning: Option<Arc<JobserverError>>,
}

impl Jobserver {
    /// What is wrong with the environment's jobserver, if this is a budget in its place.
    pub fn warning(&self) -> Option<&JobserverError> {
        self.warning.as_deref()
    }

    /// Waits for a token, for a thread outside any pool.
    ///
    /// The own slot is the pools': beside a pool at work each thread that computes needs a token, `main` included. Once
    /// the connection has [failed](Jobserver::failure), the own slot stands in for a token as soon as no job of a pool
    /// needs it.
    ///
    /// **Where there are no tokens, as under `make -j1`, none ever comes.** The threads of a
    /// [session](crate::session) take turns on the own slot instead.
    ///
    /// ```
    /// let jobserver = rayon_jobserver::Jobserver::new(1);
    /// let token = jobserver.acquire();
    /// assert_eq!(jobserver.held(), 1, "this thread may compute beside the pools");
    /// drop(token);
    /// assert_eq!(jobserver.held(), 0);
    /// ```
    /// # Panics
    ///
    /// In a child made by `fork`: the jobserver is its parent's.
    #[track_caller]
    pub fn acquire(&self) -> Token {
        if let Some(token) = self.try_acquire() {
            return token;
        }
        Token::new(token::await_token(&self.ledger), &self.ledger)
    }

    /// A token, if there is one without waiting.
    ///
    /// Off Linux, `None` where tokens can only be waited for: on Windows, and with inherited descriptors,
    /// which cannot be opened again there.
    ///
    /// ```
    /// let jobserver = rayon_jobserver::Jobserver::new(2);
    /// let tokens: Vec<_> = std::iter::from_fn(|| jobserver.try_acquire()).collect();
    /// assert_eq!(tokens.len(), 2);
    /// ```
    /// # Panics
    ///
    /// As [`acquire`](Jobserver::acquire).
    #[track_caller]
    pub fn try_acquire(&self) -> Option<Token> {
        self.ledger.home().insist();
        let fund = self.ledger.try_take_token()?;
        Some(Token::new(fund, &self.ledger))
    }

    /// Passes the jobserver on to a child process in `CARGO_MAKEFLAGS`.
    ///
    /// Only children configured so inherit the descriptors. The child's own slot is paid for by the token of the
    /// worker (or thread of a [session](crate::session)) that waits for it; elsewhere, [`acquire`](Jobserver::acquire)
    /// one for it.
    ///
    /// ```
    /// use std::process::Command;
    ///
    /// let jobserver = rayon_jobserver::Jobserver::new(3);
    /// let mut cargo = Command::new("cargo");
    /// jobserver.configure(cargo.arg("build"))?;
    /// # Ok::<(), rayon_jobserver::JobserverError>(())
    /// ```
    /// # Errors
    ///
    /// - If a budget of this process cannot be made a real jobserver, such as one of more tokens
    ///   than the system lets a pipe hold. It then stays a budget of this process.
    /// - If something else in the process, such as a dropped client of the `jobserver` crate, has closed the
    ///   descriptors that it inherited: other files may have their numbers.
    /// - Always in a child made by `fork`.
    pub fn configure(&self, command: &mut Command) -> Result<(), JobserverError> {
        self.pass_on(command, false)
    }

    /// Passes the jobserver on to a child process in `MAKEFLAGS` and `MFLAGS`, too, which make
    /// understands.
    ///
    /// Whatever else the child would find in them, such as the `-k` and `V=1` of the make above, stays there. (But not
    /// on Windows, nor where the client of [`from_client`](Jobserver::from_client) cannot be opened again.) Of a
    /// command whose environment was cleared nothing tells that it was: set or remove both variables after
    /// [`env_clear`](Command::env_clear) and before this, or what this process has in them is passed on.
    ///
    /// ```
    /// let mut make = std::process::Command::new("make");
    /// rayon_jobserver::Jobserver::new(3).configure_make(&mut make)?;
    /// # Ok::<(), rayon_jobserver::JobserverError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`configure`](Jobserver::configure).
    pub fn configure_make(&self, command: &mut Command) -> Result<(), JobserverError> {
        self.pass_on(command, true)
    }

    fn pass_on(&self, command: &mut Command, make: bool) -> Result<(), JobserverError> {
        self.ledger.home().check("pass on")?;
        let passed = self.ledger.source().configure(command, make);
        passed.map_err(|source| JobserverError::io("pass on", source))
    }

    /// Tokens that nobody holds at this moment.
    ///
    /// # Errors
    ///
    /// If the connection is broken or the system cannot tell. Always in a child made by `fork`.
    pub fn available(&self) -> Result<usize, JobserverError> {
        self.ledger.home().check("count the free tokens of")?;
        self.ledger.lying()
    }

    /// Tokens that this process holds at this moment; 0 in a child made by `fork`.
    pub fn held(&self) -> usize {
        self.ledger.held()
    }

    /// Tokens that this process has taken so far, in all its pools and threads. Those that are no longer
    /// [held](Jobserver::held) have gone back. 0 in a child made by `fork`.
    ///
    /// ```
    /// use rayon_jobserver::Jobserver;
    ///
    /// let jobserver = Jobserver::new(2);
    /// let token = jobserver.acquire();
    /// drop((token, jobserver.acquire()));
    /// assert_eq!((jobserver.taken(), jobserver.held()), (2, 0));
    /// ```
    pub fn taken(&self) -> u64 {
        self.ledger.taken()
    }

    /// Tokens that could not be written back because the connection failed. They are tried again
    /// whenever another token is given back.
    pub fn losses(&self) -> usize {
        self.ledger.losses()
    }

    /// Why the connection has failed, if it has: the first read or write that failed for good, or that no thread could
    /// be started to wait for tokens.
    ///
    /// From then on no token is taken. The pools go on with what they hold, and in the end on
    /// the own slot, which also serves threads that wait in [`acquire`](Jobserver::acquire).
    /// ```
    /// let jobserver = rayon_jobserver::Jobserver::inherited();
    /// if let Some(failure) = jobserver.failure() {
    ///     eprintln!("warning: {failure}; tokens lost: {}", jobserver.losses());
    /// }
    /// ```
    pub fn failure(&self) -> Option<Arc<JobserverError>> {
        self.ledger.failure()
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }
}

impl fmt::Debug for Jobserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jobserver").field(&self.ledger).finish()
    }
}
