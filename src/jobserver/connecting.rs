//! The ways to a connection: the environment's, one of the program's own, a budget of this process.

use std::sync::Arc;
use std::thread;

use super::environment::{self, Meaning, Mention};
use super::error::Cause;
use super::source::Source;
use super::{Jobserver, JobserverError, Ledger, OncePerProgram, exit};

impl Jobserver {
    /// Connects to the jobserver that the environment names.
    ///
    /// Looks at `CARGO_MAKEFLAGS`, `MAKEFLAGS` and `MFLAGS` as GNU make and cargo write them, and takes the
    /// first jobserver that can be used: a make below cargo may still see cargo's variable, although its
    /// descriptors were closed on the way.
    /// `None` means that there is none, or that it is switched off for this process. An explicit
    /// `-j1` without a jobserver is a budget of no tokens: only the own slot.
    ///
    /// **Every call makes a new connection, with an own slot of its own**: pools on two of them run a job more than the
    /// build allows. A process should make one and clone it, or use [`inherited`](Jobserver::inherited). A
    /// connection that is dropped while it waits for a token keeps its thread and descriptors for up to a second on
    /// Linux, and elsewhere until a token has come and gone back.
    ///
    /// From now on inherited descriptors are closed in all children, even those that other code starts,
    /// unless [`configure`](Jobserver::configure) passes them on: a child that
    /// outlives the build must not keep make from ending. So a make that is started beside the pools
    /// needs [`configure_make`](Jobserver::configure_make), although its variables are in
    /// the environment; without it, make says that the jobserver is unavailable, and runs one job at a time. The
    /// functions of that name of the crate `jobserver` pass such descriptors on no longer. The open file descriptions,
    /// which other processes share, are left as they are.
    ///
    /// ```
    /// use rayon_jobserver::Jobserver;
    ///
    /// match Jobserver::from_env() {
    ///     Ok(Some(jobserver)) => println!("{} tokens are free", jobserver.available()?),
    ///     Ok(None) => println!("nobody shares the machine with us"),
    ///     Err(error) => eprintln!("warning: {error}"),
    /// }
    /// # Ok::<(), rayon_jobserver::JobserverError>(())
    /// ```
    /// # Errors
    ///
    /// If some are named but none can be used: it does not exist, was not passed on (a make recipe
    /// without `+`), or is neither a pipe or fifo nor a device that can be waited for. The error describes the
    /// first. Nothing has been read, written or changed.
    pub fn from_env() -> Result<Option<Jobserver>, JobserverError> {
        let mut mentions = environment::find(|name| std::env::var_os(name)).into_iter();
        let Some(first) = mentions.next() else { return Ok(None) };
        Self::connect(first).or_else(|error| {
            let others = mentions.filter(Mention::is_address);
            let usable = others.filter_map(|mention| Self::connect(mention).ok().flatten()).next();
            usable.map_or(Err(error), |other| Ok(Some(other)))
        })
    }

    /// Connects to the environment's jobserver, or makes a budget of `limit` tokens if there is
    /// none. A new one each time, as with [`from_env`](Jobserver::from_env); programs that want one for all their
    /// pools use [`inherited_or_new`](Jobserver::inherited_or_new).
    ///
    /// ```
    /// let jobserver = rayon_jobserver::Jobserver::from_env_or_new(3)?;
    /// # Ok::<(), rayon_jobserver::JobserverError>(())
    /// ```
    /// # Errors
    ///
    /// As [`from_env`](Jobserver::from_env).
    pub fn from_env_or_new(limit: usize) -> Result<Jobserver, JobserverError> {
        Ok(Self::from_env()?.unwrap_or_else(|| Self::new(limit)))
    }

    /// The process's default connection, for pools that were given none: the environment's jobserver, or else a budget
    /// of the machine's parallelism. Every call returns the same one. Children do not inherit it unless configured to,
    /// as with [`from_env`](Jobserver::from_env).
    ///
    /// A broken jobserver counts as none, since that is no reason for a build to fail;
    /// [`warning`](Jobserver::warning) says what is wrong. A program that prints should print
    /// that, once:
    ///
    /// ```
    /// use rayon_jobserver::Jobserver;
    ///
    /// if let Some(warning) = Jobserver::inherited().warning() {
    ///     eprintln!("warning: {warning}");
    /// }
    /// ```
    pub fn inherited() -> Jobserver {
        // The own slot is one job, the tokens are the others.
        Self::inherited_or(|| thread::available_parallelism().map_or(0, |cores| cores.get() - 1))
    }

    /// As [`inherited`](Jobserver::inherited), but with a budget of `limit` tokens if the environment names no
    /// jobserver or a broken one. A connection that exists already stays as it is.
    ///
    /// For a program that has been told how many jobs it may run:
    ///
    /// ```
    /// use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
    ///
    /// let jobs = 3; // by its own `-j3`
    /// let jobserver = Jobserver::inherited_or_new(jobs - 1);
    /// let pool = ThreadPoolBuilder::new().num_threads(jobs).jobserver(jobserver).build()?;
    /// # assert_eq!(pool.join(|| 1, || 2), (1, 2));
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    pub fn inherited_or_new(limit: usize) -> Jobserver {
        Self::inherited_or(|| limit)
    }

    fn inherited_or(limit: impl Fn() -> usize) -> Jobserver {
        static INHERITED: OncePerProgram<Jobserver> = OncePerProgram::new();
        let inherited = INHERITED.get_or_init(|| match Self::from_env() {
            Ok(found) => found.unwrap_or_else(|| Self::new(limit())),
            Err(error) => Jobserver { warning: Some(Arc::new(error)), ..Self::new(limit()) },
        });
        inherited.clone()
    }

    /// Makes a budget of `limit` tokens, for `limit` + 1 jobs at once.
    ///
    /// It costs no descriptor until it is passed on to a child, and becomes a real jobserver then.
    /// ```
    /// let jobserver = rayon_jobserver::Jobserver::new(3);
    /// assert_eq!(jobserver.available()?, 3);
    /// # Ok::<(), rayon_jobserver::JobserverError>(())
    /// ```
    pub fn new(limit: usize) -> Jobserver {
        Self::over(Source::local(limit))
    }

    /// Uses a connection that the program already has, through the crate `jobserver` 0.1.
    ///
    /// The client is left as it is: the jobserver is opened a second time, for the pools. The own
    /// slot then belongs to the pools; a program that runs jobs of its own beside them needs a token for
    /// each. As with [`from_env`](Jobserver::from_env), every call makes a connection with an own slot of its own.
    ///
    /// Where it cannot be opened again (off Linux, unless it is a fifo), tokens can only be waited for, and
    /// those held when the process ends are lost.
    /// ```
    /// use rayon_jobserver::Jobserver;
    ///
    /// let client = jobserver::Client::new(3)?;
    /// let jobserver = Jobserver::from_client(client.clone());
    /// let token = client.acquire()?; // by a part of the program that has nothing to do with the pools
    /// assert_eq!(jobserver.available()?, 2);
    /// # drop(token);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_client(client: jobserver::Client) -> Jobserver {
        Self::over(Source::client(client))
    }

    pub(super) fn over(source: Source) -> Jobserver {
        let ledger = Ledger::new(source);
        exit::give_back_at_exit(&ledger);
        Jobserver { ledger, warning: None }
    }

    fn connect(mention: Mention) -> Result<Option<Jobserver>, JobserverError> {
        match mention.meaning {
            Meaning::Off => return Ok(None),
            Meaning::Alone => return Ok(Some(Self::new(0))),
            _ => {}
        }
        let opened = open(&mention);
        let Mention { variable, value, .. } = mention;
        let source = opened.map_err(|cause| JobserverError::environment(variable, value, cause))?;
        Ok(Some(Self::over(source)))
    }
}

#[cfg(unix)]
fn open(mention: &Mention) -> Result<Source, Cause> {
    use super::pipe::Pipe;

    let pipe = match &mention.meaning {
        &Meaning::Descriptors(read, write) => {
            Pipe::from_descriptors(read, write, mention.was_inherited())
        }
        Meaning::Fifo(path) => Pipe::from_fifo(path),
        Meaning::Named(text) => {
            Err(Cause::Text(format!("expected `R,W` or `fifo:PATH`, found `{text}`")))
        }
        Meaning::Off | Meaning::Alone => unreachable!("there is nothing to open"),
    };
    pipe.map(Source::pipe)
}

#[cfg(not(unix))]
fn open(_mention: &Mention) -> Result<Source, Cause> {
    // SAFETY: off Unix a jobserver is a named object, and no descriptor number is trusted.
    let found = unsafe { jobserver::Client::from_env_ext(true) };
    found.client.map(Source::client).map_err(|error| Cause::Text(error.to_string()))
}
