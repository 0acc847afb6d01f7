//! Fair share: what busy processes have of a budget that is too small for them, and how soon others
//! get a token.
//!
//! `cargo bench --bench share -- [--quick] [--record FOLDER] [FILTER...]` starts copies of itself that
//! always have work for more workers than there are tokens; their leaves sleep in place of cores that
//! the machine lacks. A filter is for `equals`, `late`, `waiting`, `long` or `yielding`.

#[path = "common/args.rs"]
mod args;
#[path = "common/csv.rs"]
mod csv;
#[path = "common/figure.rs"]
mod figure;
#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;
#[path = "common/raw.rs"]
mod raw;
#[path = "common/stats.rs"]
mod stats;
#[path = "common/times.rs"]
mod times;

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use args::Options;
use figures::Figures;
use rayon::prelude::*;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder, yield_token};
use stats::Quartiles;
use times::Times;

const TOKENS: usize = 4;
const LEAF: Duration = Duration::from_millis(1);
const BIN: Duration = Duration::from_millis(100);

/// Set in a copy, to how many bins it is to work for.
const BINS: &str = "SHARE_BINS";

/// Set in a copy that has all its work in a single parallel iterator.
const LONG: &str = "SHARE_LONG";

/// Set in a copy whose leaves let others have their token, if it is time for that.
const YIELDING: &str = "SHARE_YIELDING";

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(bins) = std::env::var(BINS) {
        return copy(bins.parse()?);
    }
    let options = Options::parse()?;
    machine::describe(&options)?;
    let mut figures = Figures::default();
    let time = Duration::from_secs(if options.quick { 4 } else { 20 });
    let bins = (time.as_millis() / BIN.as_millis()) as usize;
    if options.wants("equals") {
        equals(&mut figures, bins, if options.quick { 2 } else { 5 })?;
    }
    if options.wants("late") {
        late(&mut figures, bins)?;
    }
    if options.wants("waiting") {
        waiting(&mut figures, bins, "a busy pool", &[])?;
    }
    if options.wants("long") {
        waiting(&mut figures, bins, "one long call", &[LONG])?;
    }
    if options.wants("yielding") {
        waiting(&mut figures, bins, "one long call that yields", &[LONG, YIELDING])?;
    }
    Ok(figures.record(&options)?)
}

fn virtual_core() {
    thread::sleep(LEAF); // a leaf
}

/// Works, and tells after each bin how many leaves it has run in it.
fn copy(bins: usize) -> Result<(), Box<dyn Error>> {
    let builder = ThreadPoolBuilder::new().num_threads(2 * TOKENS);
    let pool = builder.detect_blocking(None).build()?;
    let begin = Instant::now();
    let mut done = 0;
    let yields = std::env::var_os(YIELDING).is_some();
    let leaf = |_| {
        virtual_core();
        if yields {
            yield_token();
        }
    };
    let run = |leaves: usize| (0..leaves).into_par_iter().with_max_len(1).map(leaf).count();
    pool.install(|| {
        while begin.elapsed() < BIN * bins as u32 {
            // As much work as all workers have in a quarter of a bin: a bin ends with a round.
            let round = 2 * TOKENS * 25;
            let long = std::env::var_os(LONG).is_some();
            done += run(if long { (TOKENS + 1) * 100 * bins } else { round });
            println!("{} {done}", begin.elapsed().as_millis());
        }
    });
    Ok(())
}

fn start(jobserver: &Jobserver, bins: usize) -> Result<Child, Box<dyn Error>> {
    start_as(jobserver, bins, &[])
}

/// A copy with these variables set.
fn start_as(jobserver: &Jobserver, bins: usize, how: &[&str]) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.env(BINS, bins.to_string()).stdout(Stdio::piped());
    command.envs(how.iter().map(|variable| (variable, "")));
    jobserver.configure(&mut command)?;
    Ok(command.spawn()?)
}

/// What a copy tells: milliseconds since its start, and leaves run by then.
type Stamps = Vec<(u64, u64)>;

fn read(child: &mut Child) -> Result<Stamps, Box<dyn Error>> {
    let out = child.stdout.take().ok_or("its output was read already")?;
    let lines = BufReader::new(out).lines().map(|line| {
        let line = line?;
        let (at, done) = line.split_once(' ').ok_or("not what a copy tells")?;
        Ok((at.parse()?, done.parse()?))
    });
    let stamps = lines.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    assert!(child.wait()?.success(), "a copy failed");
    Ok(stamps)
}

/// Reads both at once, or the pipe of one would fill up.
fn read_both(children: [&mut Child; 2]) -> Result<[Stamps; 2], Box<dyn Error>> {
    let [one, other] = children;
    thread::scope(|scope| {
        let one = scope.spawn(|| read(one).map_err(|error| error.to_string()));
        let other = read(other)?;
        Ok([one.join().expect("reading does not panic")?, other])
    })
}

/// Two copies, started anew for each run: which of them is ahead is settled early, and may stay so for long.
fn equals(figures: &mut Figures, bins: usize, runs: usize) -> Result<(), Box<dyn Error>> {
    let run = |_| {
        let jobserver = Jobserver::new(TOKENS);
        let mut one = start(&jobserver, bins)?;
        let mut other = start(&jobserver, bins)?;
        let done =
            read_both([&mut one, &mut other])?.map(|stamps| stamps.last().map_or(0, |last| last.1));
        assert_eq!(jobserver.available()?, TOKENS, "every token came back");
        Ok(100.0 * done[0] as f64 / (done[0] + done[1]) as f64)
    };
    let shares = (0..runs).map(run).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    figures.keep("share of the first of two equals", shares.iter().copied());
    let larger = shares.into_iter().map(|share| share.max(100.0 - share));
    let (median, worst) = (Quartiles::of(larger.clone()).median(), larger.fold(0.0, f64::max));
    figures.note("larger share of two equals: median", median, "%", ..);
    figures.note("larger share of two equals: worst", worst, "%", ..=55.0);
    Ok(())
}

fn late(figures: &mut Figures, bins: usize) -> Result<(), Box<dyn Error>> {
    let jobserver = Jobserver::new(TOKENS);
    let begin = Instant::now();
    let mut one = start(&jobserver, bins)?;
    thread::sleep(BIN * (bins / 2) as u32); // the early one is to be alone that long
    let delay = begin.elapsed().as_millis() as u64;
    let mut other = start(&jobserver, bins / 2)?;
    let [early, late] = read_both([&mut one, &mut other])?;
    // The rate of the late one over its latest three rounds against what all slots can do.
    let slots = (TOKENS + 2) as f64;
    let full = slots / LEAF.as_secs_f64() / 1e3;
    let reached = late.windows(4).find(|rounds| {
        let (from, to) = (rounds[0], rounds[3]);
        (to.1 - from.1) as f64 / (to.0 - from.0) as f64 >= 0.4 * full * overhead(&early, delay)
    });
    // Infinite if it never has.
    let after = reached.map_or(f64::INFINITY, |rounds| rounds[3].0 as f64);
    figures.keep("time until a late one has 40 %", [after]);
    figures.note("time until a late one has 40 %", after, "ms", ..=1_000.0);
    Ok(())
}

/// The part of the leaves that a slot really runs, of those it could if sleeps were exact. Measured on the early
/// one, which had all tokens and its own slot before the other began.
fn overhead(early: &[(u64, u64)], alone: u64) -> f64 {
    let last = early.iter().take_while(|stamp| stamp.0 < alone).last().expect("it was alone");
    let full = (TOKENS + 1) as f64 / LEAF.as_secs_f64() / 1e3;
    (last.1 as f64 / last.0 as f64) / full
}

/// Somebody who starts jobs one by one, as make does, beside a copy that would use every token.
fn waiting(
    figures: &mut Figures,
    bins: usize,
    beside: &str,
    how: &[&str],
) -> Result<(), Box<dyn Error>> {
    let client = jobserver::Client::new(TOKENS)?;
    let jobserver = Jobserver::from_client(client.clone());
    let mut child = start_as(&jobserver, bins, how)?;
    let reader =
        thread::spawn(move || read(&mut child).map(drop).map_err(|error| error.to_string()));
    let begin = Instant::now();
    let mut times = Vec::new();
    while begin.elapsed() < BIN * (bins as u32 * 8 / 10) {
        // Long enough for the copy to have fetched everything back, and to offer less often.
        thread::sleep(Duration::from_millis(1_500));
        let asked = Instant::now();
        let token = client.acquire()?;
        times.push(asked.elapsed());
        thread::sleep(Duration::from_millis(20)); // the job
        drop(token);
    }
    reader.join().expect("reading does not panic")?;
    let times = Times::of(times);
    let figure = format!("one token beside {beside}");
    figures.keep(&figure, times.millis());
    figures.note(format!("{figure}: median"), times.median(), "ms", ..);
    figures.note(format!("{figure}: worst"), times.worst(), "ms", ..=500.0);
    Ok(())
}
