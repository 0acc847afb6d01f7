//! The thin glue to rayon: start handler, probes, parking, what the kernel says of a thread.

pub(crate) mod activity;
mod clock;
pub(crate) mod depth;
mod family;
mod parker;

#[cfg(all(test, loom))]
mod model;

pub(crate) use parker::Parker;

/// Runs the jobs in the current worker's own queues, and says whether there was one.
///
/// This is how a parked worker does what is addressed to it alone, such as its part of a
/// `broadcast`, without leaving the gate.
pub(crate) fn run_own_jobs() -> bool {
    let (mut ran, before) = (0, depth::summonses());
    while rayon_core::yield_local() == Some(rayon_core::Yield::Executed) {
        ran += 1;
    }
    // Summonses of ours are no jobs.
    ran > depth::summonses() - before
}
