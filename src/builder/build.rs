//! From options to a pool: what rayon is given, and what the governor.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::ThreadPoolBuilder;
use super::handlers::{guarded, last_rites};
use super::parts::{Parts, start};
use super::spawn::Spawn;
use crate::adopted::Adopted;
use crate::gate::depth;
use crate::governor::Governor;
use crate::governor::policy::{Knobs, Nanos, Pace};
use crate::pool::ThreadPool;
use crate::{BuildError, Jobserver, global};

impl<S> ThreadPoolBuilder<S> {
    /// rayon's builder with our gate in it, the governor that belongs to it, and its spawner.
    fn into_parts(
        self,
        anchored: bool,
    ) -> Result<(rayon_core::ThreadPoolBuilder, Parts, S), BuildError> {
        // Known before the first thread measures its own.
        depth::top_level();
        let workers = resolve_num_threads(self.num_threads);
        let jobserver = self.jobserver.unwrap_or_else(Jobserver::inherited);
        jobserver.ledger().home().check("build a pool on").map_err(BuildError::jobserver)?;
        let usual = Knobs::default();
        let lease = usual.lease.map(|pace| Pace { gives: self.fair_share, ..pace });
        let knobs = Knobs { detect: detect(self.detect_blocking), lease, ..usual };
        #[cfg(tuning)]
        let knobs = tuned(knobs, &self.tuning);
        let hook = self.start_handler.map(|handler| guarded(handler, self.panic_handler.clone()));
        let anchored = anchored || self.use_current_thread;
        let driver = Governor::driver(workers, anchored, knobs, jobserver.ledger(), hook);

        let governor = Arc::clone(driver.governor());
        let thread = start(driver)?;
        let builder = rayon_core::ThreadPoolBuilder::new().num_threads(workers);
        let mut builder = depth::attend(builder, Arc::clone(&governor) as _);
        if let Some(name) = self.thread_name {
            builder = builder.thread_name(name);
        }
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        if let Some(handler) = self.exit_handler {
            builder = builder.exit_handler(handler);
        }
        builder = builder.panic_handler(last_rites(self.panic_handler));
        if self.use_current_thread {
            builder = builder.use_current_thread();
        }
        if self.breadth_first {
            #[expect(deprecated, reason = "passed on to rayon, which still has it")]
            let breadth_first = builder.breadth_first();
            builder = breadth_first;
        }
        let adopted = self.use_current_thread.then(Adopted::here);
        let parts = Parts { governor, thread, jobserver, adopted, anchored };
        Ok((builder, parts, self.spawn))
    }
}

impl<S: Spawn> ThreadPoolBuilder<S> {
    /// Builds a pool.
    ///
    /// # Errors
    ///
    /// If rayon's own `build` fails, if the governor's thread cannot be started, or, in a child made by
    /// `fork`, if the jobserver is its parent's.
    pub fn build(self) -> Result<ThreadPool, BuildError> {
        let (builder, parts, spawn) = self.into_parts(false)?;
        let pool = Arc::new(parts.prepared(|| spawn.build(builder))?);
        let way_in = Arc::clone(&pool);
        let (adopted, governor, jobserver) =
            parts.complete(move |governor, errand| depth::post(Some(&way_in), governor, errand));
        Ok(ThreadPool::assemble(adopted, pool, governor, jobserver))
    }

    /// Builds the pool that rayon's own functions and iterators use.
    ///
    /// ```
    /// use rayon::prelude::*;
    /// use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
    ///
    /// ThreadPoolBuilder::new().jobserver(Jobserver::new(1)).build_global()?;
    /// let total: u64 = (1..=1_000_u64).into_par_iter().sum();
    /// # assert_eq!(total, 500_500);
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    /// # Errors
    ///
    /// As [`build`](ThreadPoolBuilder::build), and if rayon's global pool exists already, by an
    /// earlier call or because rayon has been used before.
    pub fn build_global(self) -> Result<(), BuildError> {
        let (builder, parts, spawn) = self.into_parts(true)?;
        parts.prepared(|| spawn.build_global(builder))?;
        let (adopted, governor, jobserver) =
            parts.complete(|governor, errand| depth::post(None, governor, errand));
        global::set(adopted, governor, jobserver);
        Ok(())
    }
}

/// The number of threads rayon would choose.
fn resolve_num_threads(asked: usize) -> usize {
    let from = |variable: &str| std::env::var(variable).ok()?.parse::<usize>().ok();
    let chosen = match asked {
        0 => match from("RAYON_NUM_THREADS") {
            // An explicit 0 asks for the default, whatever the older variable says.
            Some(count) => count,
            None => from("RAYON_RS_NUM_CPUS").unwrap_or(0),
        },
        count => count,
    };
    let count =
        if chosen > 0 { chosen } else { thread::available_parallelism().map_or(1, usize::from) };
    count.min(rayon_core::max_num_threads())
}

#[cfg(tuning)]
fn tuned(mut knobs: Knobs, tuning: &[(String, f64)]) -> Knobs {
    // A bench that knows nothing of this is told by the environment.
    let told = std::env::var("RAYON_JOBSERVER_TUNED").ok();
    let told = told.as_deref().and_then(|setting| setting.split_once('='));
    let told = told.map(|(name, factor)| (name.to_owned(), factor.parse().expect("a factor")));
    for (name, factor) in tuning.iter().chain(&told) {
        let named = knobs.named().into_iter().find(|(known, _)| known == name);
        let (_, value) = named.unwrap_or_else(|| panic!("no duration of the policy is {name:?}"));
        *value = (*value as f64 * factor) as Nanos;
    }
    knobs
}

/// The policy's measure of when a worker counts as blocked, where the system can tell.
fn detect(after: Option<Duration>) -> Option<Nanos> {
    let after = after.filter(|_| cfg!(target_os = "linux"))?;
    // Looked at twice in that time, and never more often than every half millisecond.
    let least = Duration::from_millis(1);
    // Far more than a lifetime, and room for its multiples.
    let most = Nanos::MAX / 32;
    Some(Nanos::try_from(after.max(least).as_nanos()).map_or(most, |after| after.min(most)))
}
