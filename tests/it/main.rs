//! What a pool must do, whatever its width and budget.

mod budget;
mod mirror;
mod pools;
mod process;
mod random;
mod rest;
mod support;
