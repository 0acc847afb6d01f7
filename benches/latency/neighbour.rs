//! What an idle pool costs a process beside it that needs every core.

use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
use rustix::process::{Pid, Signal, kill_process};

use crate::WORKERS;

/// Set in the process with the pool: whose that is.
pub(crate) const IDLER: &str = "BENCH_IDLER";
const OURS: &str = "ours";

/// What a neighbour does on each core, in steps: some half a second.
pub(crate) const WORK: u64 = 400_000_000;

/// And what each job of a call does: 0.2 ms.
const JOB: u64 = WORK / 2_500;

/// What an idle pool does while a neighbour has that work to do, right after a call: round by round.
#[derive(Debug)]
pub(crate) struct Idle {
    /// How long that takes, in units of the same beside a stopped process.
    pub(crate) slowed: Vec<f64>,
    /// How often a thread of the process was given a core meanwhile.
    pub(crate) runs: Vec<f64>,
    /// Milliseconds of a core that they had.
    pub(crate) cpu: Vec<f64>,
}

/// Measures so many rounds, of a pool of ours or of stock rayon.
pub(crate) fn beside(rounds: usize, ours: bool) -> Result<Idle, Box<dyn Error>> {
    let cores = thread::available_parallelism()?.get();
    let mut idler = Idler::start(ours)?;
    let (mut slowed, mut runs, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let alone = |idler: &Idler| -> Result<Duration, Box<dyn Error>> {
        idler.signal(Signal::STOP)?;
        let time = busy(cores);
        idler.signal(Signal::CONT)?;
        Ok(time)
    };
    for round in 0..rounds {
        // Each comes first as often as the other: the machine's own speed drifts.
        let first = if round % 2 == 0 { Some(alone(&idler)?) } else { None };
        idler.call()?;
        let before = idler.used()?;
        let beside = busy(cores);
        let after = idler.used()?;
        let alone = first.map_or_else(|| alone(&idler), Ok)?;
        slowed.push(beside.as_secs_f64() / alone.as_secs_f64());
        runs.push((after.runs - before.runs) as f64);
        cpu.push((after.cpu - before.cpu).as_secs_f64() * 1e3);
    }
    Ok(Idle { slowed, runs, cpu })
}

/// How long a fixed amount of work takes on all cores.
fn busy(cores: usize) -> Duration {
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| compute(WORK));
        }
    });
    begin.elapsed()
}

fn compute(steps: u64) {
    (0..steps).for_each(|step| {
        black_box(step);
    });
}

/// A process with an idle global pool.
struct Idler {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

struct Used {
    runs: u64,
    cpu: Duration,
}

impl Idler {
    fn start(ours: bool) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .env(IDLER, if ours { OURS } else { "stock" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let asks = child.stdin.take().ok_or("it was asked for")?;
        let answers = BufReader::new(child.stdout.take().ok_or("it was asked for")?);
        Ok(Idler { child, asks, answers })
    }

    /// Has it call its pool once.
    fn call(&mut self) -> io::Result<()> {
        writeln!(self.asks)?;
        self.answers.read_line(&mut String::new()).map(drop)
    }

    /// What its threads have used so far.
    fn used(&self) -> Result<Used, Box<dyn Error>> {
        let mut used = Used { runs: 0, cpu: Duration::ZERO };
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let told = fs::read_to_string(task?.path().join("schedstat"))?;
            let [cpu, _, runs] = told.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(format!("not what the kernel documents: {told}").into());
            };
            used.runs += runs.parse::<u64>()?;
            used.cpu += Duration::from_nanos(cpu.parse()?);
        }
        Ok(used)
    }

    fn signal(&self, signal: Signal) -> Result<(), Box<dyn Error>> {
        let pid = Pid::from_child(&self.child);
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Idler {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does what such a process is there for, until nobody can ask any more.
pub(crate) fn idle(whose: &str) -> Result<(), Box<dyn Error>> {
    if whose == OURS {
        let builder = ThreadPoolBuilder::new().num_threads(WORKERS);
        builder.jobserver(Jobserver::new(WORKERS - 1)).build_global()?;
    } else {
        rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build_global()?;
    }
    for ask in io::stdin().lines() {
        ask?;
        (0..4 * WORKERS).into_par_iter().with_max_len(1).for_each(|_| compute(JOB));
        println!();
    }
    Ok(())
}
