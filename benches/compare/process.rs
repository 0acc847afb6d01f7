//! Contenders in processes of their own: a process has one global pool, hundreds of threads of others
//! make the kernel slow, and whoever came before has left the caches as it likes them.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use jobserver::Client;
use rustix::process::{Pid, Signal, kill_process};

use crate::contenders::{Place, Pool};
use crate::leaf;
use crate::row::{Contender, Row, Sample, Supply};
use crate::rows;
use crate::work::Work;

/// Set in such a process: which contender, how many workers, how many of them may run, how many tokens
/// it lends to itself, and what work.
pub(crate) const SERVED: &str = "BENCH_SERVED";

/// Such a process, as the one sees it that asks.
pub(crate) struct Process {
    child: Child,
    /// Taken only to be closed.
    asks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it on tokens of its own.
    pub(crate) fn start(
        contender: Contender,
        row: &Row,
        work: &Work,
    ) -> Result<Self, Box<dyn Error>> {
        // A real pipe, as in a build.
        let client = Client::new(row.tokens)?;
        let growing = row.supply() == Supply::Growing;
        let lent = if growing { row.tokens - 1 } else { 0 };
        let (name, workers, width) = (contender.name(), row.workers, row.width());
        let mut command = Command::new(std::env::current_exe()?);
        command.env(SERVED, format!("{name} {workers} {width} {lent} {}", work.name()));
        command.env(leaf::SPEED, leaf::steps_per_second().to_string());
        command.env_remove("RAYON_NUM_THREADS").stdin(Stdio::piped()).stdout(Stdio::piped());
        client.configure(&mut command);
        let mut child = command.spawn()?;
        let asks = child.stdin.take();
        let answers = child.stdout.take().ok_or("it was asked for")?;
        Ok(Process { child, asks, answers: BufReader::new(answers) })
    }

    /// Has it run its work once. Until it is asked again it stands still, so that none runs beside another,
    /// be it for a moment to see whether it is called.
    pub(crate) fn run(&mut self) -> Result<Sample, Box<dyn Error>> {
        self.signal(Signal::CONT)?;
        let sample = self.sample();
        self.signal(Signal::STOP)?;
        sample
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    fn sample(&mut self) -> Result<Sample, Box<dyn Error>> {
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
        // One that has failed is not there any more.
        let _ = self.signal(Signal::CONT);
        // Ended by that; where it has failed, so has the run that needed it.
        let _ = self.child.wait();
    }
}

/// Does what such a process is there for, until nobody can ask any more.
pub(crate) fn serve(words: &str) -> Result<(), Box<dyn Error>> {
    let mut words = words.splitn(5, ' ');
    let mut next = || words.next().ok_or("a task from another program");
    let name = next()?;
    let contender = Contender::ALL.into_iter().find(|contender| contender.name() == name);
    let contender = contender.ok_or("a contender of another program")?;
    let place =
        Place { workers: next()?.parse()?, width: next()?.parse()?, lent: next()?.parse()? };
    let name = next()?;
    let plan = rows::all().into_iter().find(|plan| plan.work.name() == name);
    let work = plan.ok_or("work that no row has")?.work;
    // SAFETY: nothing has opened a descriptor since the process began.
    let client = unsafe { Client::from_env() }.ok_or("there is no jobserver")?;
    let pool = Pool::new(contender, place, client, &work)?;
    for ask in io::stdin().lines() {
        ask?;
        let Sample { millis, taken, peak } = pool.run(&work);
        let peak = peak.map_or("-".to_owned(), |peak| peak.to_string());
        println!("{millis} {taken} {peak}");
    }
    Ok(())
}
