//! Of the raw results of changed constants.

/// A line a round of some work with a constant changed, and with none beside it.
pub(crate) const ROUNDS: [&str; 9] =
    ["knob", "factor", "work", "workers", "tokens", "round", "ms", "base_ms", "taken"];

/// A line a figure of another bench, run as a whole.
pub(crate) const ELSEWHERE: [&str; 7] =
    ["knob", "factor", "bench", "figure", "round", "value", "unit"];

/// In place of a constant where none is changed.
pub(crate) const NONE: &str = "none";
