//! The hand-off between workers, in every interleaving.
