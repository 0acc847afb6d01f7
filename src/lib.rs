//! rayon for programs that run in a build: a pool runs no more workers at once than the process holds jobserver
//! tokens, plus one, unless [jobs block](#limits) without saying so.
//!
//! A jobserver lets make, cargo and ninja share one limit on parallel jobs among all processes of a
//! build: a process may run one job, and one more for each token it holds. This crate builds ordinary
//! rayon pools, on the `rayon-core` of the registry and no fork. To run, each worker needs a token or
//! the process's *own slot* (make's implicit job slot, the `jobserver` crate's implicit token). A pool asks
//! for tokens while there is work for more workers, and gives them back when workers have none.
//!
//! # Example
//!
//! One line makes all code that uses rayon's global pool follow the jobserver that the environment
//! names. Without one it has a budget of the machine's cores.
//!
//! ```
//! use rayon::prelude::*;
//!
//! rayon_jobserver::ThreadPoolBuilder::new().build_global()?;
//!
//! let sum: u64 = (1..=1_000_u64).into_par_iter().sum();
//! assert_eq!(sum, 500_500);
//! # Ok::<(), rayon_jobserver::BuildError>(())
//! ```
//!
//! An owned pool, on a budget of its own ([`session`] is for a compiler that also has threads of its own):
//!
//! ```
//! use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
//!
//! let pool = ThreadPoolBuilder::new().num_threads(8).jobserver(Jobserver::new(3)).build()?;
//! assert_eq!(pool.join(|| 6 * 7, || "six by seven"), (42, "six by seven"));
//! assert!(pool.stats().peak <= 4, "three tokens and the own slot");
//! # Ok::<(), rayon_jobserver::BuildError>(())
//! ```
//!
//! # Limits
//!
//! - **Busy workers are not stopped.** A token goes back when a worker has run out of work. A process
//!   that is busy throughout offers one now and then, when a worker's own queue is empty: between two
//!   sections, but within one long call perhaps only at its end, unless its jobs call [`yield_token`].
//!   See [`fair_share`].
//! - **Blocked workers** give their tokens up only where they say so, by [`blocking`] or [`Monitor`], or
//!   where the kernel tells (Linux): after 10 ms, or up to 0.1 s later in a pool that has long only
//!   computed. In the second case they run on when they wake, beyond the budget, until the pool can pay
//!   for them: see [`Stats::overcommits`].
//! - **Child processes** that compute are jobs: each runs on the token of the worker that waits for it, which must
//!   not give it up by [`blocking`]. On Linux the pool sees that the child computes, and does not take the worker
//!   for blocked.
//! - **Threads outside the pools** that compute beside them are not paid for, unless they take part in the
//!   [`session`]: `main` after a `rayon::spawn`, or the closure of an `in_place_scope`. Pools of stock rayon that a
//!   dependency builds for itself are not governed.
//! - **Jobs that poll** for what another job does, by spinning or by sleeping less than 10 ms at a time, are not
//!   seen to wait. If such jobs hold all tokens, what they wait for never runs. Use [`blocking`],
//!   [`Monitor`] or `rayon::yield_now`.
//! - **Jobs that need several live workers at once**, such as those that meet at a barrier, get those
//!   beyond the tokens one by one, about every 20 ms, on Linux; with more than 64 tokens, 20 ms longer
//!   for each 64. Elsewhere they wait for ever, as in stock rayon with fewer threads.
//! - **Bare calls** into the global pool (`rayon::join` and whatever else is not this crate's) are noticed by a
//!   heartbeat. One worker takes them at once, or within a beat (18.5 ms at most) if it is busy with a long job; the
//!   others, and the copies of a `rayon::broadcast`, may come up to one beat late. Rarely, those copies start up to
//!   2.4 s late: when the one worker reaches its own just after the pool has asked it whether it is idle. A phase
//!   within [`install`](crate::install()) is noticed at once.
//! - **A wide phase after a long serial one**, within one call, may begin late by up to a 40th of the serial one,
//!   0.2 s at most: the longer nothing has changed, the more rarely the pool looks for a use of more tokens.
//! - **Ends of a process.** When `main` returns or panics, when `exit` is called, and before a panic
//!   in a spawned job aborts, everything is given back. By SIGKILL, `abort` (and so by every panic
//!   under `panic = "abort"`), `_exit` and `quick_exit` a process loses what it holds at that moment,
//!   never more; by `exec` too, unless it calls [`give_back`] first. Other signals also lose them,
//!   unless the program has a handler that exits, or uses [the feature `signals`](#features). make then
//!   says that it exits with fewer tokens than there should be.
//! - **`fork`** without `exec` leaves a child without workers, as with rayon. The child owns nothing of
//!   its parent's: it gives no token back, and those calls to the parent's pools and jobserver that could only
//!   hang panic instead, as each says. rayon's own functions, such as `rayon::join`, do hang in the child
//!   if its parent has used the global pool, as they do with stock rayon. A child may build pools
//!   on a jobserver that it has connected to itself. It should call them on a thread that was no
//!   worker at the `fork`: a former worker, while it waits, also looks into its parent's queue of injected
//!   jobs, and hangs if another thread was writing there at the `fork`, as with stock rayon. A child made without
//!   the C library's `fork`, by the bare system call, is noticed only when it exits: it gives nothing back.
//! - **Platforms**: only Linux is tested. The code for others has not been run.
//!
//! # What differs from rayon
//!
//! Names, arguments and results are rayon's own, and so is the behaviour wherever the table says
//! "nothing".
//!
//! | [`ThreadPoolBuilder`] | differs in | because |
//! |---|---|---|
//! | [`jobserver`] | is new | a pool must know whose tokens it runs on; by default [`Jobserver::inherited`] |
//! | [`detect_blocking`] | is new | a worker that waits for something that is no job needs no token |
//! | [`fair_share`] | is new | a busy pool offers a token to others now and then |
//! | [`num_threads`] | is a cap | no more than tokens + 1 workers run at once; all threads are started |
//! | [`thread_name`], [`stack_size`], [`spawn_handler`] | nothing | |
//! | [`start_handler`] | runs on every thread before it has a token; what it broadcasts into an owned pool waits for the next call or job | a worker waits for its token after the handler |
//! | [`exit_handler`] | nothing: not called for the global pool, which never ends | |
//! | [`panic_handler`] | nothing; where rayon aborts, the tokens are given back first | an abort would lose them |
//! | [`use_current_thread`] | the thread keeps the own slot, or a token, until it next waits in the pool or the pool is dropped; if neither is free, it runs beyond the budget until one comes back | it cannot be parked where it stands |
//! | [`breadth_first`] | nothing; it is deprecated there too | |
//! | [`build`], [`build_global`], [`build_scoped`] | the error is [`BuildError`] | the governor's thread may fail to start, too |
//!
//! | [`ThreadPool`] | differs in | because |
//! |---|---|---|
//! | [`stats`], [`ThreadPool::jobserver`] | are new | |
//! | [`install`], [`join`], [`scope`], [`scope_fifo`], [`in_place_scope`], [`in_place_scope_fifo`] | from outside the pool, they may wait for another pool's token before they begin | the own slot is one for all pools of a jobserver |
//! | [`spawn`], [`spawn_fifo`] | nothing: they return at once | |
//! | [`broadcast`], [`spawn_broadcast`] | the copies may run one after the other; copies that wait for each other get their workers one by one, about every 20 ms (never off Linux, or with `detect_blocking(None)`) | with fewer tokens than workers, those that have run make way |
//! | [`yield_now`] | may say `Yield::Executed` although no job of the program was run | it may have run a probe of the governor's |
//! | [`yield_local`] | the same | it may have run a call to offer a token |
//! | [`current_num_threads`] | is the cap, not what runs now | the number of tokens changes all the time; see [`Stats::admitted`] |
//! | [`current_thread_index`], [`current_thread_has_pending_tasks`] | nothing | |
//! | drop | nothing: it returns at once, and what was spawned still runs | |
//!
//! | functions | differ in | because |
//! |---|---|---|
//! | [`join`](crate::join()), [`scope`](crate::scope()), [`spawn`](crate::spawn()), [`broadcast`](crate::broadcast()) | rayon's own also work, but are noticed later | these tell the governor of the global pool at once |
//! | [`install`](crate::install()) | rayon has it for owned pools only | announces a whole phase of the global pool |
//! | [`yield_token`], [`blocking`](crate::blocking()) | are new | jobs that take long, or wait for something that is no job, can let others have a token |
//!
//! Left out are what rayon has marked as deprecated: `Configuration`, `initialize` and
//! `ThreadPool::new`.
//!
//! [`blocking`]: crate::blocking()
//! [`jobserver`]: ThreadPoolBuilder::jobserver
//! [`detect_blocking`]: ThreadPoolBuilder::detect_blocking
//! [`fair_share`]: ThreadPoolBuilder::fair_share
//! [`num_threads`]: ThreadPoolBuilder::num_threads
//! [`thread_name`]: ThreadPoolBuilder::thread_name
//! [`stack_size`]: ThreadPoolBuilder::stack_size
//! [`spawn_handler`]: ThreadPoolBuilder::spawn_handler
//! [`start_handler`]: ThreadPoolBuilder::start_handler
//! [`exit_handler`]: ThreadPoolBuilder::exit_handler
//! [`panic_handler`]: ThreadPoolBuilder::panic_handler
//! [`use_current_thread`]: ThreadPoolBuilder::use_current_thread
//! [`breadth_first`]: ThreadPoolBuilder::breadth_first
//! [`build`]: ThreadPoolBuilder::build
//! [`build_global`]: ThreadPoolBuilder::build_global
//! [`build_scoped`]: ThreadPoolBuilder::build_scoped
//! [`stats`]: ThreadPool::stats
//! [`install`]: ThreadPool::install
//! [`join`]: ThreadPool::join
//! [`scope`]: ThreadPool::scope
//! [`scope_fifo`]: ThreadPool::scope_fifo
//! [`in_place_scope`]: ThreadPool::in_place_scope
//! [`in_place_scope_fifo`]: ThreadPool::in_place_scope_fifo
//! [`spawn`]: ThreadPool::spawn
//! [`spawn_fifo`]: ThreadPool::spawn_fifo
//! [`broadcast`]: ThreadPool::broadcast
//! [`spawn_broadcast`]: ThreadPool::spawn_broadcast
//! [`yield_now`]: ThreadPool::yield_now
//! [`yield_local`]: ThreadPool::yield_local
//! [`current_num_threads`]: ThreadPool::current_num_threads
//! [`current_thread_index`]: ThreadPool::current_thread_index
//! [`current_thread_has_pending_tasks`]: ThreadPool::current_thread_has_pending_tasks
//!
//! # Features
//!
//! - `signals`, off by default: `give_back_on_signals`, after which SIGINT, SIGTERM and SIGHUP give the
//!   tokens back before they end the process. It costs the dependency `signal-hook`, and a thread in programs
//!   that call it. A library should leave it off: signals are its program's.
//!
//! # Minimum Rust version
//!
//! 1.95. Only a new minor version may raise it.
//!
//! # How it works
//!
//! A worker that starts waits in its start handler until something pays for it. A thread of this crate, the
//! governor, keeps a tiny job, the probe, in rayon's queue of jobs from outside, where workers look
//! last. A probe that lies there untaken means that all running workers are busy: the governor
//! asks for a token and lets one more worker go. A worker that takes the probe has found nothing else
//! to do. It goes back to sleep in rayon for a while, or is parked inside the probe, and its token goes
//! to another worker or back to the jobserver.
//!
//! `src/governor/README.md` describes the protocol, and why it does not get stuck.
//!
//! # Questions
//!
//! **Why is one worker of the global pool never parked?** It sleeps inside rayon, on the own slot, so
//! that bare calls always find a worker. An owned pool sees all its calls, and needs no such worker.
//!
//! **Which environment variables count?** For the jobserver `CARGO_MAKEFLAGS`, `MAKEFLAGS` and
//! `MFLAGS`; for the number of threads `RAYON_NUM_THREADS`, as in rayon.
//!
//! **What if the jobserver goes away?** The worker on the own slot goes on, so the work still ends.
//! [`Jobserver::failure`] says what happened.
//!
//! **How do I see what a pool does?** [`ThreadPool::stats`] and [`global::stats`].

mod adopted;
mod blocking;
mod builder;
mod error;
mod gate;
pub mod global;
mod governor;
mod jobserver;
mod monitor;
mod observe;
mod pool;
mod scoped;
pub mod session;
#[cfg(all(unix, feature = "signals"))]
mod signals;
mod sync;
mod yielding;

pub use blocking::blocking;
pub use builder::{CustomSpawn, DefaultSpawn, ThreadPoolBuilder};
pub use error::BuildError;
#[doc(inline)]
pub use global::{broadcast, install, join, scope, spawn};
pub use jobserver::{Jobserver, JobserverError, Token, give_back};
pub use monitor::Monitor;
pub use observe::Stats;
pub use pool::ThreadPool;
pub use rayon_core::{BroadcastContext, Scope, ScopeFifo, ThreadBuilder, Yield};
#[cfg(all(unix, feature = "signals"))]
pub use signals::give_back_on_signals;
pub use yielding::yield_token;

/// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
