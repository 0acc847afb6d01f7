//! The work on rayon itself: for stock pools, and for ours, which are stock pools too.

use rayon as flavour;

#[path = "parallel.rs"]
mod parallel;

pub(crate) use parallel::run;
