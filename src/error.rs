//! Why a pool could not be built.

use std::error::Error;
use std::fmt;
use std::io;

use crate::JobserverError;

/// Why a pool could not be built.
///
/// ```
/// use rayon_jobserver::ThreadPoolBuilder;
///
/// ThreadPoolBuilder::new().num_threads(2).build_global()?;
/// let second = ThreadPoolBuilder::new().build_global().unwrap_err();
/// assert!(second.to_string().contains("already been initialized"));
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
#[derive(Debug)]
pub struct BuildError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Rayon(rayon_core::ThreadPoolBuildError),
    Thread(io::Error),
    Jobserver(JobserverError),
}

impl BuildError {
    pub(crate) fn rayon(source: rayon_core::ThreadPoolBuildError) -> Self {
        BuildError { kind: Kind::Rayon(source) }
    }

    pub(crate) fn thread(source: io::Error) -> Self {
        BuildError { kind: Kind::Thread(source) }
    }

    pub(crate) fn jobserver(source: JobserverError) -> Self {
        BuildError { kind: Kind::Jobserver(source) }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Rayon(source) => write!(f, "cannot build the thread pool: {source}"),
            Kind::Thread(source) => write!(f, "cannot start the governor's thread: {source}"),
            Kind::Jobserver(source) => write!(f, "{source}"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Rayon(source) => Some(source),
            Kind::Thread(source) => Some(source),
            Kind::Jobserver(source) => source.source(),
        }
    }
}
