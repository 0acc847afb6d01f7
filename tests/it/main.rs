//! What a pool must do, whatever its width and budget.

mod blocking;
mod budget;
mod mirror;
mod pools;
mod process;
mod random;
mod rest;
mod support;
