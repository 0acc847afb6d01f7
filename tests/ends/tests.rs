//! The ends, one by one.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, thread};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::{self, Ending};
use crate::referee::{Kind, Referee};

pub(crate) const ALL: &[(&str, fn())] = &[
    ("every_end_gives_all_tokens_back", every_end_gives_all_tokens_back),
    ("sudden_ends_lose_at_most_what_was_held", sudden_ends_lose_at_most_what_was_held),
    ("short_processes_give_all_tokens_back", short_processes_give_all_tokens_back),
    #[cfg(feature = "signals")]
    ("signals_give_all_tokens_back_and_kill", signals_give_all_tokens_back_and_kill),
    #[cfg(feature = "signals")]
    ("signals_kill_where_nobody_can_attend_to_them", signals_kill_where_nobody_can_attend_to_them),
];

/// How often each end is tried.
const ROUNDS: usize = 100;
/// How many programs run at once: enough to be in each other's way on any machine.
const AT_ONCE: usize = 4;
/// Longer than any program takes.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Calls `round` with 0, 1, 2 and so on, on several threads, and fails if one fails.
fn repeat(rounds: usize, round: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= rounds {
                        break;
                    }
                    round(number);
                }
            });
        }
    });
}

/// The program that is to end so, on the referee's tokens.
fn start(ending: Ending, referee: &Referee, tokens: usize) -> Child {
    let mut command = Command::new(env::current_exe().expect("the test knows its own program"));
    referee.configure(&mut command);
    command.env(program::ENDING, format!("{ending:?}")).env(program::TOKENS, tokens.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().expect("the test can be run again")
}

/// Waits for the end of a program, which must come.
fn end_of(mut child: Child) -> ExitStatus {
    let (ended, watched) = mpsc::channel::<()>();
    let pid = Pid::from_child(&child);
    thread::scope(|scope| {
        scope.spawn(move || {
            if watched.recv_timeout(WATCHDOG) == Err(mpsc::RecvTimeoutError::Timeout) {
                kill_process(pid, Signal::QUIT).expect("it hangs, so it is there");
            }
        });
        let status = child.wait().expect("nobody else waits for it");
        drop(ended);
        status
    })
}

/// Blocks until the program says that it can be ended now.
fn wait_until_ready(child: &mut Child) {
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("it is piped");
    BufReader::new(stdout).read_line(&mut line).expect("it is text");
    assert_eq!(line, "ready\n");
}

fn code(code: impl Into<i32>) -> ExitStatus {
    ExitStatus::from_raw(code.into() << 8)
}

fn killed_by(signal: Signal) -> impl Fn(ExitStatus) -> bool {
    move |status| status.signal() == Some(signal.as_raw())
}

fn every_end_gives_all_tokens_back() {
    let ends = [
        (Ending::Return, Some(program::CODE)),
        (Ending::Exit, Some(program::CODE)),
        (Ending::ExitInJob, Some(program::CODE)),
        (Ending::PanicInMain, Some(101)),
        (Ending::GlobalReturn, Some(program::CODE)),
        (Ending::GlobalExit, Some(program::CODE)),
        (Ending::GlobalPanicInMain, Some(101)),
        (Ending::PanicInWorker, Some(101)),
        (Ending::PanicCaught, Some(program::CODE)),
        (Ending::PanicHandled, Some(program::CODE)),
        (Ending::PanicInSpawned, None),
        (Ending::PanicInHandler, None),
        (Ending::Exec, Some(program::CODE)),
        (Ending::ExecInJob, Some(program::CODE)),
        (Ending::TakesAtExit, Some(program::CODE)),
        (Ending::ConnectsMeanwhile, Some(program::CODE)),
        (Ending::GivesBackMeanwhile, Some(program::CODE)),
    ];
    for (ending, expected) in ends {
        repeat(ROUNDS, |round| {
            let tokens = 1 + round % 7;
            let referee = Referee::new(Kind::of(round), tokens, round * 7);
            let status = end_of(start(ending, &referee, tokens));
            let as_expected = match expected {
                Some(number) => status == code(number),
                None => killed_by(Signal::ABORT)(status),
            };
            assert!(as_expected, "{ending:?}, round {round}: {status}");
            let verdict = referee.verdict();
            assert_eq!(verdict, Ok(()), "{ending:?}, round {round}");
        });
    }
}

fn sudden_ends_lose_at_most_what_was_held() {
    for (ending, signal) in [(Ending::Abort, Signal::ABORT), (Ending::Killed, Signal::KILL)] {
        let lost = AtomicUsize::new(0);
        repeat(ROUNDS, |round| {
            // It holds four when it is ready, and never more than pay for its workers but one.
            let (ready, most) = (4, 5);
            let referee = Referee::new(Kind::of(round), 8, round * 7);
            let mut child = start(ending, &referee, ready);
            if ending == Ending::Killed {
                wait_until_ready(&mut child);
                kill_process(Pid::from_child(&child), signal).expect("it is there");
            }
            let status = end_of(child);
            assert!(killed_by(signal)(status), "{ending:?}, round {round}: {status}");
            // Whoever comes next gives back what is left.
            let survivor = end_of(start(Ending::Done, &referee, 8));
            assert_eq!(survivor, code(program::CODE), "{ending:?}, round {round}");
            let missing = referee.missing().expect("no byte comes twice");
            assert!(missing <= most, "{ending:?}, round {round}: {missing} are gone");
            lost.fetch_add(missing, Ordering::Relaxed);
        });
        println!("{ending:?}: {lost:?} tokens lost in {ROUNDS} rounds");
    }
}

fn short_processes_give_all_tokens_back() {
    let asked = env::var("SHORT_PROCESSES").ok();
    let rounds = asked.map_or(1_000, |count| count.parse().expect("a number of processes"));
    let begin = Instant::now();
    let failures = AtomicUsize::new(0);
    repeat(rounds, |round| {
        let tokens = round / 2 % 65;
        let referee = Referee::new(Kind::of(round), tokens, round);
        let status = end_of(start(Ending::Done, &referee, tokens));
        assert_eq!(status, code(program::CODE), "round {round}");
        if let Err(loss) = referee.verdict() {
            println!("{:?}, {tokens} tokens, round {round}: {loss}", Kind::of(round));
            failures.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(failures.into_inner(), 0, "of {rounds} processes");
    println!("{rounds} processes in {:.1} s", begin.elapsed().as_secs_f64());
}

#[cfg(feature = "signals")]
fn signals_give_all_tokens_back_and_kill() {
    let signals = [Signal::INT, Signal::TERM, Signal::HUP];
    repeat(3 * ROUNDS, |round| {
        let signal = signals[round % 3];
        let tokens = 1 + round % 7;
        let referee = Referee::new(Kind::of(round), tokens, round);
        // One that holds all tokens, or two that take them from each other.
        let mut children = match round / 2 % 2 {
            0 => vec![start(Ending::Signalled, &referee, tokens)],
            _ => Vec::from([(); 2].map(|()| start(Ending::SignalledAtWork, &referee, tokens))),
        };
        children.iter_mut().for_each(wait_until_ready);
        for child in children {
            kill_process(Pid::from_child(&child), signal).expect("it is there");
            let status = end_of(child);
            assert!(killed_by(signal)(status), "{signal:?}, round {round}: {status}");
        }
        assert_eq!(referee.verdict(), Ok(()), "{signal:?}, round {round}");
    });
}

#[cfg(feature = "signals")]
fn signals_kill_where_nobody_can_attend_to_them() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let referee = Referee::new(Kind::of(0), 1, 0);
        let mut child = start(Ending::SignalledUnattended, &referee, 1);
        wait_until_ready(&mut child);
        kill_process(Pid::from_child(&child), signal).expect("it is there");
        let status = end_of(child);
        assert!(killed_by(signal)(status), "{signal:?}: {status}");
    }
}
