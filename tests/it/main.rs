//! What a pool must do, whatever its width and budget.

mod budget;
mod mirror;
mod pools;
mod process;
mod rest;
mod support;
