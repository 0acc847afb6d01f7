//! Where tokens lie: in this process, in a pipe, or behind somebody else's client.

use std::io;
use std::process::Command;
use std::sync::OnceLock;

use jobserver::{Acquired, Client};
use parking_lot::Mutex;

#[cfg(unix)]
use super::pipe::Pipe;

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
    #[cfg(unix)]
    Pipe(Pipe),
    Client(Client),
}

/// A budget of this process alone, until it is passed on to a child.
#[derive(Debug)]
pub(crate) struct Local {
    free: Mutex<usize>,
    /// Set once the budget is shared; the tokens lie there from then on.
    shared: OnceLock<Box<Source>>,
}

/// What stands for a token that was never read from anywhere.
const LOCAL_BYTE: u8 = b'+';

impl Source {
    pub(crate) fn local(limit: usize) -> Self {
        Source::Local(Local { free: Mutex::new(limit), shared: OnceLock::new() })
    }

    /// Whether the tokens lie in this process, so that nobody else can take or bring any.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Source::Local(local) if local.shared.get().is_none())
    }

    /// Takes a token if one is to be had without waiting.
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
            Source::Pipe(pipe) => Ok(pipe.try_take()?.map(RawToken::Byte)),
            // A try would make the host's client non-blocking for good. Its tokens come by
            // waiting alone.
            Source::Client(_) => Ok(None),
        }
    }

    /// Blocks until there is a token: one that has been read, or `None` if [`try_take`] may find
    /// one now. Not for a budget of this process alone, where the ledger knows who waits.
    ///
    /// [`try_take`]: Source::try_take
    pub(super) fn wait(&self) -> io::Result<Option<RawToken>> {
        match self {
            Source::Local(local) => match local.shared.get() {
                Some(shared) => shared.wait(),
                None => Err(io::ErrorKind::Unsupported.into()),
            },
            #[cfg(unix)]
            Source::Pipe(pipe) => Ok(pipe.wait()?.map(RawToken::Byte)),
            Source::Client(client) => Ok(Some(RawToken::Acquired(client.acquire()?))),
        }
    }

    /// Makes way for other processes that wait for a token: this one is about to end.
    pub(super) fn leave(&self) {
        match self {
            Source::Local(local) => {
                if let Some(shared) = local.shared.get() {
                    shared.leave();
                }
            }
            #[cfg(unix)]
            Source::Pipe(pipe) => pipe.leave(),
            // Its waits cannot be withdrawn.
            Source::Client(_) => {}
        }
    }

    /// Puts a token back.
    pub(super) fn put(&self, token: RawToken) -> io::Result<()> {
        match (self, token) {
            (Source::Local(local), token) => {
                let mut free = local.free.lock();
                match local.shared.get() {
                    Some(shared) => shared.put(token)?,
                    None => *free += 1,
                }
                Ok(())
            }
            #[cfg(unix)]
            (Source::Pipe(pipe), RawToken::Byte(byte)) => pipe.put(byte),
            (_, token) => {
                drop(token);
                Ok(())
            }
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
            Source::Pipe(pipe) => pipe.lying(),
            Source::Client(client) => client.available(),
        }
    }

    /// Passes the connection on to a child, to a `make` as well if `make` says so.
    pub(super) fn configure(&self, command: &mut Command, make: bool) -> io::Result<()> {
        match self {
            Source::Local(local) => local.share()?.configure(command, make),
            #[cfg(unix)]
            Source::Pipe(pipe) => pipe.configure(command, make),
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

impl Local {
    /// Moves the free tokens into a real jobserver. Those that are out follow as they come back.
    fn share(&self) -> io::Result<&Source> {
        let mut free = self.free.lock();
        if let Some(shared) = self.shared.get() {
            return Ok(shared);
        }
        #[cfg(unix)]
        let source = Source::Pipe(Pipe::create(*free, LOCAL_BYTE)?);
        #[cfg(not(unix))]
        let source = Source::Client(Client::new(*free)?);
        *free = 0;
        Ok(self.shared.get_or_init(|| Box::new(source)))
    }
}
