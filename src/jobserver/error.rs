//! What can go wrong with a jobserver.

use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::io;

/// A jobserver that the environment names and that cannot be used, one that failed, or one that cannot be counted or
/// passed on.
///
/// It is no error if there is none.
///
/// ```
/// use rayon_jobserver::Jobserver;
///
/// if let Err(error) = Jobserver::from_env() {
///     // Such as MAKEFLAGS; the error's text has its value, and says what is wrong with it.
///     let variable = error.variable().unwrap_or("no variable");
///     eprintln!("warning: {error} (by {variable})");
/// }
/// ```
#[derive(Debug)]
pub struct JobserverError {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Environment { variable: &'static str, value: OsString, cause: Cause },
    Operation { operation: &'static str, source: io::Error },
}

#[derive(Debug)]
pub(super) enum Cause {
    Text(String),
    #[cfg_attr(not(unix), expect(dead_code, reason = "nothing is opened by number or name there"))]
    Io(String, io::Error),
}

impl JobserverError {
    pub(super) fn environment(variable: &'static str, value: OsString, cause: Cause) -> Self {
        JobserverError { kind: Kind::Environment { variable, value, cause } }
    }

    pub(super) fn io(operation: &'static str, source: io::Error) -> Self {
        JobserverError { kind: Kind::Operation { operation, source } }
    }

    /// The environment variable that names the jobserver, if one does.
    pub fn variable(&self) -> Option<&'static str> {
        match &self.kind {
            Kind::Environment { variable, .. } => Some(variable),
            Kind::Operation { .. } => None,
        }
    }
}

impl fmt::Display for JobserverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Environment { variable, value, cause } => {
                write!(f, "unusable jobserver in {variable}={value:?}: ")?;
                match cause {
                    Cause::Text(text) => f.write_str(text),
                    Cause::Io(what, source) => write!(f, "cannot {what}: {source}"),
                }
            }
            Kind::Operation { operation, source } => {
                write!(f, "cannot {operation} the jobserver: {source}")
            }
        }
    }
}

impl Error for JobserverError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.kind {
            Kind::Environment { cause: Cause::Io(_, source), .. }
            | Kind::Operation { source, .. } => Some(source),
            Kind::Environment { cause: Cause::Text(_), .. } => None,
        }
    }
}
