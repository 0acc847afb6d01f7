//! What the examples have in common.

pub(crate) mod files;
pub(crate) mod trace;
pub(crate) mod words;
