//! Stock rayon that runs only as wide as its jobserver tokens.

mod builder;
mod error;
mod gate;
pub mod global;
mod governor;
mod jobserver;
mod observe;
mod pool;
mod sync;

pub use builder::{CustomSpawn, DefaultSpawn, ThreadPoolBuilder};
pub use error::BuildError;
pub use global::{broadcast, install, join, scope, spawn};
pub use jobserver::{Jobserver, JobserverError, Token};
pub use observe::Stats;
pub use pool::ThreadPool;
pub use rayon_core::{BroadcastContext, Scope, ScopeFifo, ThreadBuilder, Yield};
