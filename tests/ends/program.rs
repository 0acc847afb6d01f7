//! The program whose end is looked at: this test again, told by a variable how to end.

use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::panic::{self, AssertUnwindSafe};
use std::process::{self, Command, ExitCode};
use std::sync::{Arc, Barrier, Once, mpsc};
use std::time::Duration;
use std::{env, thread};

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Tells the program which of [`Ending`]s is to be its own.
pub(crate) const ENDING: &str = "RAYON_JOBSERVER_TEST_ENDING";
/// How many tokens there are.
pub(crate) const TOKENS: &str = "RAYON_JOBSERVER_TEST_TOKENS";

/// How a program may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Return,
    Exit,
    ExitInJob,
    PanicInMain,
    /// The same with the global pool, which never ends.
    GlobalReturn,
    GlobalExit,
    GlobalPanicInMain,
    PanicInWorker,
    PanicCaught,
    PanicInSpawned,
    PanicInHandler,
    PanicHandled,
    Exec,
    ExecInJob,
    Abort,
    /// By a signal from outside.
    Killed,
    /// The same, having called `give_back_on_signals`.
    Signalled,
    /// The same again, while tokens come and go.
    SignalledAtWork,
    /// The same, where the call has failed.
    SignalledUnattended,
    /// Takes a token in an exit handler that is called after this crate's.
    TakesAtExit,
    /// Threads connect meanwhile.
    ConnectsMeanwhile,
    /// A thread gives everything back meanwhile.
    GivesBackMeanwhile,
    /// A short program that computes, and ends when it has done so.
    Done,
}

impl Ending {
    pub(crate) const ALL: [Ending; 23] = [
        Ending::Return,
        Ending::Exit,
        Ending::ExitInJob,
        Ending::PanicInMain,
        Ending::GlobalReturn,
        Ending::GlobalExit,
        Ending::GlobalPanicInMain,
        Ending::PanicInWorker,
        Ending::PanicCaught,
        Ending::PanicInSpawned,
        Ending::PanicInHandler,
        Ending::PanicHandled,
        Ending::Exec,
        Ending::ExecInJob,
        Ending::Abort,
        Ending::Killed,
        Ending::Signalled,
        Ending::SignalledAtWork,
        Ending::SignalledUnattended,
        Ending::TakesAtExit,
        Ending::ConnectsMeanwhile,
        Ending::GivesBackMeanwhile,
        Ending::Done,
    ];

    /// What this process has been told, if it is such a program.
    pub(crate) fn told() -> Option<Ending> {
        let told = env::var(ENDING).ok()?;
        Self::ALL.into_iter().find(|ending| format!("{ending:?}") == told)
    }
}

/// What the program exits with where it can choose.
pub(crate) const CODE: u8 = 7;

pub(crate) fn run(ending: Ending) -> ExitCode {
    // A panic is part of the program; nobody wants to read of it.
    panic::set_hook(Box::new(|_| ()));
    if ending == Ending::TakesAtExit {
        // Before this crate, which does so when it first connects: so it is called later.
        // SAFETY: the function lives as long as the program, and unwinds nowhere.
        assert_eq!(unsafe { libc::atexit(take_at_exit) }, 0);
    }
    match ending {
        Ending::Done => return compute(),
        Ending::PanicInWorker => {
            let pool = pool(builder());
            install_beside(&pool, || panic!("in a worker"));
        }
        Ending::PanicCaught => {
            let pool = pool(builder());
            let panicking = || install_beside(&pool, || panic!("in a worker"));
            panic::catch_unwind(AssertUnwindSafe(panicking)).expect_err("it panics");
        }
        Ending::ExitInJob => install_beside(&pool(builder()), || process::exit(CODE.into())),
        Ending::ExecInJob => install_beside(&pool(builder()), exec),
        Ending::PanicInSpawned => panic_in_spawned(builder()),
        Ending::PanicInHandler => {
            panic_in_spawned(builder().panic_handler(|panic| panic::resume_unwind(panic)));
        }
        Ending::PanicHandled => {
            let (report, reported) = mpsc::channel();
            let report = move |_| report.send(()).expect("main waits");
            let pool = pool(builder().panic_handler(report));
            spawn_beside(&pool, || panic!("in a spawned job"));
            reported.recv().expect("the handler reports");
        }
        Ending::ConnectsMeanwhile => beside_the_end(|| {
            loop {
                drop(Jobserver::from_env());
            }
        }),
        Ending::GivesBackMeanwhile => beside_the_end(rayon_jobserver::give_back),
        Ending::SignalledAtWork => come_and_go(),
        Ending::SignalledUnattended => fail_to_attend(),
        beside @ (Ending::GlobalReturn | Ending::GlobalExit | Ending::GlobalPanicInMain) => {
            builder().build_global().expect("there is none yet");
            (0..tokens() + 2).for_each(|_| rayon::spawn(work));
            wait_until_all_are_held();
            end_beside_workers(beside);
        }
        beside => {
            let _pool = all_busy();
            end_beside_workers(beside);
        }
    }
    ExitCode::from(CODE)
}

/// Ends the program on its main thread.
fn end_beside_workers(ending: Ending) {
    match ending {
        Ending::Exit | Ending::GlobalExit => process::exit(CODE.into()),
        Ending::PanicInMain | Ending::GlobalPanicInMain => panic!("in main"),
        Ending::Exec => exec(),
        Ending::Abort => process::abort(),
        Ending::Killed => await_signal(),
        Ending::Signalled => {
            give_back_on_signals();
            await_signal();
        }
        _ => {}
    }
}

fn builder() -> ThreadPoolBuilder {
    // One more than there are funds, so that a token is asked for to the very end.
    ThreadPoolBuilder::new()
        .num_threads(tokens() + 2)
        .jobserver(Jobserver::inherited())
        // What it holds, it is to hold until the end.
        .detect_blocking(None)
}

fn pool(builder: ThreadPoolBuilder) -> ThreadPool {
    builder.build().expect("a pool of a sane size")
}

fn tokens() -> usize {
    env::var(TOKENS).expect("set").parse().expect("a number")
}

/// Never ends.
fn work() {
    loop {
        thread::sleep(Duration::from_millis(1)); // a leaf, not a wait for anything
    }
}

/// Blocks until the program's workers hold every token there is.
fn wait_until_all_are_held() {
    while Jobserver::inherited().held() < tokens() {
        thread::yield_now();
    }
}

/// A pool whose workers hold all tokens.
fn all_busy() -> ThreadPool {
    let pool = pool(builder());
    (0..tokens() + 2).for_each(|_| pool.spawn(work));
    wait_until_all_are_held();
    pool
}

/// Calls `end` on a worker once the others hold all the other funds.
fn install_beside(pool: &ThreadPool, end: impl FnOnce() + Send) {
    (0..tokens()).for_each(|_| pool.spawn(work));
    pool.install(|| {
        wait_until_all_are_held();
        end();
    });
}

/// The same in a spawned job.
fn spawn_beside(pool: &ThreadPool, end: impl FnOnce() + Send + 'static) {
    (0..tokens()).for_each(|_| pool.spawn(work));
    pool.spawn(|| {
        wait_until_all_are_held();
        end();
    });
}

fn panic_in_spawned(builder: ThreadPoolBuilder) {
    let pool = pool(builder);
    spawn_beside(&pool, || panic!("in a spawned job"));
    work();
}

/// Has threads do so until the program ends, which it is about to: at some moment, another one in each process.
fn beside_the_end(act: fn()) {
    let jobserver = Jobserver::inherited();
    let begun = Arc::new(Barrier::new(3));
    for _ in 0..2 {
        let begun = Arc::clone(&begun);
        thread::spawn(move || {
            begun.wait();
            act();
        });
    }
    begun.wait();
    // Of which one may be read as the program ends.
    drop(jobserver.try_acquire());
    (0..process::id() % 97).for_each(|leaf| _ = spin(leaf));
}

extern "C" fn take_at_exit() {
    if let Ok(Some(jobserver)) = Jobserver::from_env() {
        std::mem::forget(jobserver.try_acquire());
    }
}

fn exec() {
    let mut successor = Command::new("sh");
    successor.args(["-c", &format!("exit {CODE}")]);
    Jobserver::inherited().configure(&mut successor).expect("it is a pipe");
    rayon_jobserver::give_back();
    panic!("{}", successor.exec());
}

/// Tells whoever started the program that it is ready to be ended from outside.
fn await_signal() {
    println!("ready");
    work();
}

/// Widens and narrows for ever. It tells that it is ready at some leaf, another one in each process, so that
/// signals come at all that it does.
fn come_and_go() {
    let pool = pool(builder());
    give_back_on_signals();
    let (told, at) = (Once::new(), process::id() % 84);
    let leaf = |number: u32| {
        if number == at {
            told.call_once(|| println!("ready"));
        }
        spin(number)
    };
    loop {
        pool.install(|| (0..64).into_par_iter().with_max_len(1).map(leaf).sum::<u32>());
        (64..84).for_each(|number| _ = leaf(number));
    }
}

/// Asks for signals to be attended to where that needs a descriptor more than there are.
fn fail_to_attend() {
    as_in_a_terminal();
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Nofile, none).expect("one may always have less");
    #[cfg(feature = "signals")]
    for _ in 0..2 {
        rayon_jobserver::give_back_on_signals().expect_err("there is no descriptor left");
    }
    await_signal();
}

fn give_back_on_signals() {
    as_in_a_terminal();
    #[cfg(feature = "signals")]
    rayon_jobserver::give_back_on_signals().expect("a thread and a few handlers");
}

/// Under `nohup`, or in the background of a script, some signals are ignored, and would be left so.
fn as_in_a_terminal() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the default action needs no handler, and no other thread sets one.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// What a small tool may do with rayon.
fn compute() -> ExitCode {
    let pool = pool(builder());
    let sum = pool.install(|| (0..256_u32).into_par_iter().with_max_len(1).map(spin).sum::<u32>());
    let expected = (0..256).map(spin).sum();
    if sum == expected { ExitCode::from(CODE) } else { ExitCode::FAILURE }
}

/// A leaf of some microseconds.
fn spin(leaf: u32) -> u32 {
    (0..1_000).fold(leaf % 7, |sum, round| black_box(sum.rotate_left(7) ^ round)) % 1_000
}
