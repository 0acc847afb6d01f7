//! What the gate makes of the depth of a worker's stack.

/// What the gate makes of the depth of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hints {
    Right,
    /// It could not be measured: everybody seems to wait for a latch.
    Nested,
    Top,
    Random,
}
