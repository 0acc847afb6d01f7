//! What a pool must do, whatever its width and budget.

mod adopted;
mod blocking;
mod budget;
mod dialects;
#[cfg(target_os = "linux")]
mod fork;
mod give_back;
mod mirror;
mod monitor;
mod pools;
mod process;
mod random;
mod rest;
#[cfg(target_os = "linux")]
mod scarce;
mod session;
mod several;
mod share;
#[cfg(all(target_os = "linux", feature = "signals"))]
mod signals;
#[cfg(target_os = "linux")]
mod streams;
mod support;
mod traits;
