//! Where tokens lie: in this process, in a pipe, or behind somebody else's client.

use std::io;
use std::process::Command;
use std::sync::OnceLock;

use jobserver::{Acquired, Client};

#[cfg(unix)]
use super::environment::{self, Meaning};
use super::exit::PIPE_PATIENCE;
#[cfg(unix)]
use super::pipe::Pipe;
use crate::sync::{Mutex, MutexGuard};

/// One token as it was read.
#[derive(Debug)]
pub(crate) enum RawToken {
    /// The byte it is written back as.
    Byte(u8),
    /// The `jobserver` crate's own; dropping it gives it back.
    Acquired(#[expect(dead_code, reason = "held for its Drop")] Acquired),
}

impl RawToken {
    pub(super) fn byte(&self) -> Option<u8> {
        match self {
            RawToken::Byte(byte) => Some(*byte),
            RawToken::Acquired(_) => None,
        }
    }
}

/// A place to take tokens from and to put them back to.
#[derive(Debug)]
pub(crate) enum Source {
    Local(Local),
    /// A jobserver on descriptions of our own, and the program's client, if it is that one's.
    #[cfg(unix)]
    Pipe(
        Pipe,
        #[expect(dead_code, reason = "held for the descriptors that children inherit")]
        Option<Client>,
    ),
    /// The same where it cannot be opened again. With the client alone one can neither try, nor stop waiting, nor give
    /// everything back when the process ends.
    Client(Client),
}

/// A budget of this process alone, until it is passed on to a child.
#[derive(Debug)]
pub(crate) struct Local {
    /// All tokens, held ones too.
    limit: usize,
    free: Mutex<usize>,
    /// Set once the budget is shared; the tokens lie there from then on.
    shared: OnceLock<Box<Source>>,
    /// In place of the tokens that were held when the budget was shared: a semaphore takes back only what it
    /// gave.
    #[cfg(not(unix))]
    proxies: Mutex<Vec<Acquired>>,
}

/// What stands for a token that was never read from anywhere.
const LOCAL_BYTE: u8 = b'+';

impl Source {
    #[cfg(unix)]
    pub(super) fn pipe(pipe: Pipe) -> Self {
        Source::Pipe(pipe, None)
    }

    pub(crate) fn client(client: Client) -> Self {
        #[cfg(unix)]
        if let Some(pipe) = reopen(&client) {
            return Source::Pipe(pipe, Some(client));
        }
        Source::Client(client)
    }

    pub(crate) fn local(limit: usize) -> Self {
        Source::Local(Local {
            limit,
            free: Mutex::new(limit),
            shared: OnceLock::new(),
            #[cfg(not(unix))]
            proxies: Mutex::default(),
        })
    }

    /// Whether the tokens lie in this process, so that nobody else can take or bring any.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Source::Local(local) if local.shared.get().is_none())
    }

    /// Takes a token if there is one without waiting.
    pub(crate) fn try_take(&self) -> io::Result<Option<RawToken>> {
        match self {
            Source::Local(local) => {
                let mut free = local.free.lock();
                if let Some(shared) = local.shared.get() {
                    return shared.try_take();
                }
                let taken = (*free > 0).then_some(RawToken::Byte(LOCAL_BYTE));
                *free -= usize::from(taken.is_some());
                Ok(taken)
            }
            #[cfg(unix)]
            Source::Pipe(pipe, _) => Ok(pipe.try_take()?.map(RawToken::Byte)),
            // A try would make the host's client non-blocking for good. Its tokens come by
            // waiting alone.
            Source::Client(_) => Ok(None),
        }
    }

    /// Blocks until there is a token: one that has been read, or `None` if [`try_take`] may find
    /// one now, or if after a while none is `wanted` any more. Not for a budget of this process alone, where the ledger
    /// knows who waits.
    ///
    /// [`try_take`]: Source::try_take
    pub(super) fn wait(&self, wanted: &dyn Fn() -> bool) -> io::Result<Option<RawToken>> {
        match self {
            Source::Local(local) => match local.shared.get() {
                Some(shared) => shared.wait(wanted),
                None => Err(io::ErrorKind::Unsupported.into()),
            },
            #[cfg(unix)]
            Source::Pipe(pipe, _) => Ok(pipe.wait(wanted)?.map(RawToken::Byte)),
            Source::Client(client) => Ok(Some(RawToken::Acquired(client.acquire()?))),
        }
    }

    /// Makes way for other processes that wait for a token: this one is about to end. What is
    /// returned is to be written back.
    #[must_use]
    pub(super) fn leave(&self) -> Option<u8> {
        match self {
            Source::Local(local) => local.shared.get()?.leave(),
            #[cfg(unix)]
            Source::Pipe(pipe, _) => pipe.leave(),
            // Its waits cannot be withdrawn.
            Source::Client(_) => None,
        }
    }

    /// Blocks until a token that found no room may find some.
    pub(super) fn wait_for_room(&self) -> io::Result<()> {
        match self {
            Source::Local(local) => local.shared.get().map_or(Ok(()), |it| it.wait_for_room()),
            #[cfg(unix)]
            Source::Pipe(pipe, _) => pipe.wait_for_room(None).map(drop),
            // It waits itself.
            Source::Client(_) => Ok(()),
        }
    }

    /// Puts a token back; `WouldBlock` means that there is no room for it now.
    pub(super) fn put(&self, token: RawToken) -> io::Result<()> {
        match (self, token) {
            (Source::Local(local), token) => local.put(local.free.lock(), token),
            #[cfg(unix)]
            (Source::Pipe(pipe, _), RawToken::Byte(byte)) => pipe.put(byte),
            (_, token) => {
                drop(token);
                Ok(())
            }
        }
    }

    /// Puts a token back while the process ends: nobody will try again.
    pub(super) fn put_at_last(&self, byte: u8) -> io::Result<()> {
        loop {
            let token = RawToken::Byte(byte);
            let outcome = match self {
                Source::Local(local) => local.put_at_last(token),
                _ => self.put(token),
            };
            match outcome {
                Err(full)
                    if full.kind() == io::ErrorKind::WouldBlock && self.has_room_soon()? => {}
                outcome => return outcome,
            }
        }
    }

    /// Whether there is room for a token, which found none, before patience ends.
    fn has_room_soon(&self) -> io::Result<bool> {
        match self {
            Source::Local(local) => local.shared.get().map_or(Ok(true), |it| it.has_room_soon()),
            #[cfg(unix)]
            Source::Pipe(pipe, _) => pipe.wait_for_room(Some(PIPE_PATIENCE)),
            Source::Client(_) => Ok(true),
        }
    }

    /// How many tokens lie there for anybody to take.
    pub(super) fn lying(&self) -> io::Result<usize> {
        match self {
            Source::Local(local) => match local.shared.get() {
                Some(shared) => shared.lying(),
                None => Ok(*local.free.lock()),
            },
            #[cfg(unix)]
            Source::Pipe(pipe, _) => pipe.lying(),
            Source::Client(client) => client.available(),
        }
    }

    /// Passes the connection on to a child, to a `make` as well if `make` says so.
    pub(super) fn configure(&self, command: &mut Command, make: bool) -> io::Result<()> {
        match self {
            Source::Local(local) => local.share()?.configure(command, make),
            // Not by the client: it does not know whether its descriptors are still open, nor that
            // they may be closed on exec by now.
            #[cfg(unix)]
            Source::Pipe(pipe, _) => pipe.configure(command, make),
            Source::Client(client) => {
                if make {
                    client.configure_make(command);
                } else {
                    client.configure(command);
                }
                Ok(())
            }
        }
    }
}

/// Opens again what a client is connected to, as it would tell a child.
#[cfg(unix)]
fn reopen(client: &Client) -> Option<Pipe> {
    let mut child = Command::new("true");
    client.configure(&mut child);
    let told = |name: &str| {
        let (_, value) = child.get_envs().find(|&(variable, _)| variable == name)?;
        value.map(ToOwned::to_owned)
    };
    match environment::find(told).into_iter().next()?.meaning {
        Meaning::Descriptors(read, write) => Pipe::reopened(read, write),
        Meaning::Fifo(path) => Pipe::from_fifo(&path).ok(),
        Meaning::Named(_) | Meaning::Off | Meaning::Alone => None,
    }
}

impl Local {
    fn put(&self, mut free: MutexGuard<'_, usize>, token: RawToken) -> io::Result<()> {
        match self.shared.get() {
            #[cfg(not(unix))]
            Some(_) if token.byte().is_some() => drop(self.proxies.lock().pop()),
            Some(shared) => shared.put(token)?,
            None => *free += 1,
        }
        Ok(())
    }

    /// The same while the process ends, perhaps in a signal's handler that has interrupted the holder of the lock:
    /// then the other tokens lie in the pipe already, or no other process could want them.
    fn put_at_last(&self, token: RawToken) -> io::Result<()> {
        match (self.free.lock_within(PIPE_PATIENCE), self.shared.get()) {
            (Some(free), _) => self.put(free, token),
            (None, Some(shared)) => shared.put(token),
            (None, None) => Ok(()),
        }
    }

    /// Moves the free tokens into a real jobserver. Those that are out follow as they come back.
    fn share(&self) -> io::Result<&Source> {
        let mut free = self.free.lock();
        if let Some(shared) = self.shared.get() {
            return Ok(shared);
        }
        #[cfg(unix)]
        let source = Source::pipe(Pipe::create(*free, self.limit, LOCAL_BYTE)?);
        #[cfg(not(unix))]
        let source = {
            let client = Client::new(self.limit)?;
            // Nobody else knows of it yet, so none of these has to wait.
            let held = (*free..self.limit).map(|_| client.acquire()).collect::<io::Result<_>>()?;
            *self.proxies.lock() = held;
            Source::client(client)
        };
        *free = 0;
        Ok(self.shared.get_or_init(|| Box::new(source)))
    }
}
