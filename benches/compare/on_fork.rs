//! The same work on rustc's fork of rayon.

use forked_rayon as flavour;

#[path = "parallel.rs"]
#[expect(clippy::duplicate_mod, reason = "two crates of one interface have no type in common")]
mod parallel;

pub(crate) use parallel::run;
