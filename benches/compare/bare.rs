//! Ours as rayon's global pool, called by rayon's own functions. A process has one such pool, so each
//! has a process, which runs the work whenever it is asked to.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use jobserver::Client;
use parking_lot::Mutex;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

use crate::jobs::Jobs;
use crate::leaf::{self, Leaf};
use crate::row::{Row, Sample};
use crate::settle::settle;
use crate::work::{Kind, Scene, Work};
use crate::{on_stock, rows};

/// A job that is only there to be noticed.
const SHORT: Duration = Duration::from_micros(100);

/// Set in such a process: how many workers and what work, and how many tokens it lends to itself.
pub(crate) const SERVED: &str = "BENCH_SERVED";

/// Such a process, as the one sees it that asks.
pub(crate) struct Process {
    child: Child,
    /// Taken only to be closed.
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it on the tokens of `client`.
    pub(crate) fn start(
        client: &Client,
        row: &Row,
        lent: usize,
        work: &Work,
    ) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        let words = format!("{} {} {lent} {}", row.workers, row.width(), work.name());
        command.env(SERVED, words).env(leaf::SPEED, leaf::steps_per_second().to_string());
        command.env_remove("RAYON_NUM_THREADS").stdin(Stdio::piped()).stdout(Stdio::piped());
        client.configure(&mut command);
        let mut child = command.spawn()?;
        let asks = child.stdin.take();
        let answers = child.stdout.take().ok_or("it was asked for")?;
        Ok(Process { child, asks, answers: BufReader::new(answers) })
    }

    /// Has it run its work once.
    pub(crate) fn run(&mut self) -> Result<Sample, Box<dyn Error>> {
        writeln!(self.asks.as_mut().ok_or("it has ended")?)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let mut words = answer.split_whitespace();
        let mut next = || words.next().ok_or("the process answered something else");
        Ok(Sample {
            millis: next()?.parse()?,
            taken: next()?.parse()?,
            peak: match next()? {
                "-" => None,
                peak => Some(peak.parse()?),
            },
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.asks.take());
        // Ended by that; where it has failed, so has the run that needed it.
        let _ = self.child.wait();
    }
}

/// Whether it goes through so much memory that it matters who did so before, and in which process.
pub(crate) fn is_of_memory(work: &Work) -> bool {
    matches!(work.kind, Kind::Sort { .. } | Kind::Reduce { .. } | Kind::Hash | Kind::Parse)
}

/// Calls the pool for as long as it takes until it must have noticed.
///
/// Nobody tells it of a bare call, and after a long pause it looks every 18.5 ms. What that is worth
/// the rows of idle times show; in all others, where the other contenders' runs make pauses that a
/// program would not, it would hide everything else.
fn awaken() {
    const LONGEST: Duration = Duration::from_millis(25);
    let begin = Instant::now();
    while begin.elapsed() < LONGEST {
        rayon::join(|| Leaf::Compute.run(SHORT), || Leaf::Compute.run(SHORT));
    }
}

/// Does what such a process is there for, until nobody can ask any more.
pub(crate) fn serve(words: &str) -> Result<(), Box<dyn Error>> {
    let mut words = words.splitn(4, ' ');
    let mut next = || words.next().ok_or("a task from another program");
    let (workers, width): (usize, usize) = (next()?.parse()?, next()?.parse()?);
    let (lent, name): (usize, &str) = (next()?.parse()?, next()?);
    let plan = rows::all().into_iter().find(|plan| plan.work.name() == name);
    let work = plan.ok_or("work that no row has")?.work;
    // SAFETY: nothing has opened a descriptor since the process began.
    let client = unsafe { Client::from_env() }.ok_or("there is no jobserver")?;
    let jobserver = Jobserver::inherited();
    let builder = ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
    match work.leaf {
        Leaf::Compute => builder.build_global()?,
        // It stands for a core that computes, and must not count as blocked.
        Leaf::Sleep => builder.detect_blocking(None).build_global()?,
    }
    for ask in io::stdin().lines() {
        ask?;
        settle();
        let enter = |section: &(dyn Fn() + Sync)| rayon::scope(|_| section());
        if is_of_memory(&work) {
            // The other processes have had the caches meanwhile.
            let (jobs, grow) = (Jobs::new(work.leaf), || ());
            on_stock::run(&work, &Scene { width, jobs: &jobs, enter: &enter, grow: &grow });
        }
        if !matches!(work.kind, Kind::Idle { .. }) {
            awaken();
        }
        let jobs = Jobs::new(work.leaf);
        let lent = (0..lent).map(|_| client.acquire()).collect::<Result<Vec<_>, _>>()?;
        let lent = Mutex::new(lent);
        let grow = || lent.lock().clear();
        let before = jobserver.taken();
        let time = on_stock::run(&work, &Scene { width, jobs: &jobs, enter: &enter, grow: &grow });
        let taken = jobserver.taken() - before;
        // Whoever runs next is not to pay for what still goes on here.
        settle();
        let peak = jobs.peak().map_or("-".to_owned(), |peak| peak.to_string());
        println!("{} {taken} {peak}", time.as_secs_f64() * 1e3);
    }
    Ok(())
}
