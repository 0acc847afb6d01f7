//! How soon tokens come back, workers are added, a bare broadcast ends; what an idle pool costs.
//!
//! `cargo bench --bench latency -- [--quick] [--record FOLDER] [FILTER...]` prints medians and worst
//! cases of repeated trials. The tokens lie in a real pipe; a second connection stands for the other
//! clients of the jobserver. A filter is for `back`, `growth`, `busy`, `neighbour`, `broadcast`
//! or `idle`.

#[path = "../common/args.rs"]
mod args;
mod cost;
#[path = "../common/csv.rs"]
mod csv;
#[path = "../common/figure.rs"]
mod figure;
#[path = "../common/figures.rs"]
mod figures;
#[path = "../common/machine.rs"]
mod machine;
mod neighbour;
#[path = "../common/raw.rs"]
mod raw;
#[path = "../common/stats.rs"]
mod stats;
#[path = "../common/times.rs"]
mod times;
mod trials;

use std::error::Error;
use std::ops::Bound::{Included, Unbounded};
use std::process::Command;
use std::thread;
use std::time::Duration;

use args::Options;
use cost::Load;
use figures::Figures;
use neighbour::Idle;
use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
use stats::Quartiles;
use trials::{Budget, Enter};

const WORKERS: usize = 16;
const TOKENS: usize = WORKERS - 1;

fn main() -> Result<(), Box<dyn Error>> {
    if let Ok(whose) = std::env::var(neighbour::IDLER) {
        return neighbour::idle(&whose);
    }
    let options = Options::parse()?;
    machine::describe(&options)?;
    let mut figures = Figures::default();
    let trials = if options.quick { 4 } else { 40 };
    let mine = Jobserver::new(TOKENS);
    let budget = Budget { others: second_connection(&mine)?, mine };

    let build = || {
        let builder = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(budget.mine.clone());
        builder.detect_blocking(None).build().expect("as many threads")
    };
    let pool = build();
    let owned = |job: &(dyn Fn() + Sync)| pool.install(job);
    if options.wants("back") {
        tokens_back(&mut figures, "owned pool", &budget, &owned, trials);
        for (seen, whose) in [(true, "again"), (false, "for the first time")] {
            let times = trials::back_after_loop(&budget, &build, trials, seen);
            let what = format!(
                "owned pool after a loop of calls: all tokens back when somebody waits {whose}"
            );
            figures.keep(&what, times.millis());
            figures.note(format!("{what}: median"), times.median(), "ms", ..=2.0);
            figures.note(format!("{what}: worst"), times.worst(), "ms", ..=2.0);
        }
        let late = trials::oversleeping(5 * trials);
        let what = "a bare thread: latest of as many wake-ups as that takes";
        figures.keep(what, late.millis());
        figures.note(format!("{what}: 95th percentile"), late.at(0.95), "ms", ..);
        figures.note(format!("{what}: worst"), late.worst(), "ms", ..);
    }
    if options.wants("growth") {
        // Ten times as many, or a hundredth of them would be less than one.
        let times = trials::growth(&budget, &owned, 10 * trials);
        let what = "owned pool: from a token's release to a job on it";
        figures.keep(what, times.millis());
        figures.note(format!("{what}: median"), times.median(), "ms", ..=0.1);
        figures.note(format!("{what}: 99th percentile"), times.at(0.99), "ms", ..=1.0);
        figures.note(format!("{what}: worst"), times.worst(), "ms", ..);
        let times = trials::two_wakes(10 * trials)?;
        let what = "two bare threads: from a byte in a pipe to the second one woken";
        figures.keep(what, times.millis());
        figures.note(format!("{what}: median"), times.median(), "ms", ..);
        figures.note(format!("{what}: 99th percentile"), times.at(0.99), "ms", ..);
    }
    drop(pool);
    if options.wants("busy") {
        let (short, long, span) = if options.quick { (1, 2, 1) } else { (2, 24, 10) };
        for (load, after, most) in [
            (Load::Wide, 1, Included(20.0)),
            (Load::Serial, short, Included(20.0)),
            (Load::Serial, long, Included(20.0)),
            // Somebody keeps watch, as in an idle global pool.
            (Load::Blocked, short, Included(60.0)),
            (Load::Calls, short, Unbounded),
        ] {
            let what = match load {
                Load::Wide => "with all funded workers busy".to_owned(),
                Load::Serial => {
                    format!("and tokens to spare beside one job that computes for {after} s")
                }
                Load::Blocked => {
                    format!("and tokens to spare beside one job blocked for {after} s")
                }
                Load::Calls => "in a loop of calls of 16 µs with gaps of 0.1 ms".to_owned(),
            };
            let rate = cost::wakes(load, Duration::from_secs(after), Duration::from_secs(span))?;
            let what = format!("owned pool {what}: governor's wake-ups");
            figures.note(what, rate, "a second", (Unbounded, most));
        }
        let (serial, rounds) = if options.quick { (100, 1) } else { (2_000, 9) };
        let (ours, stock) = trials::after_serial(Duration::from_millis(serial), rounds)?;
        for (whose, wide) in [("owned pool", &ours), ("stock", &stock)] {
            let what = format!("{whose}: wide phase of 5 ms after {serial} ms of one job");
            figures.keep(&what, wide.millis());
            figures.note(format!("{what}: median"), wide.median(), "ms", ..);
        }
        let [ours, stock] = [&ours, &stock].map(|wide| wide.median() + serial as f64);
        let what = "owned pool: both phases together against stock";
        figures.note(what, ours / stock, "", ..=1.05);
    }

    if options.wants("neighbour") {
        let rounds = if options.quick { 3 } else { 15 };
        for (whose, ours) in [("ours", true), ("stock", false)] {
            let Idle { slowed, runs, cpu } = neighbour::beside(rounds, ours)?;
            let steps = neighbour::WORK / 1_000_000;
            let work = format!("{steps} million steps on all cores after a bare call of {whose}");
            let what = |what| format!("{work}: {what}");
            for (part, rounds, unit) in [
                ("times alone", slowed, ""),
                ("runs of the idle pool's threads", runs, ""),
                ("CPU time of the idle pool", cpu, "ms"),
            ] {
                figures.keep(&what(part), rounds.iter().copied());
                figures.note(what(part), Quartiles::of(rounds).median(), unit, ..);
            }
        }
    }

    let builder = ThreadPoolBuilder::new().num_threads(WORKERS).jobserver(budget.mine.clone());
    builder.detect_blocking(None).build_global()?;
    let bare = |job: &(dyn Fn() + Sync)| rayon::scope(|_| job());
    if options.wants("back") {
        tokens_back(&mut figures, "bare calls", &budget, &bare, trials);
    }
    let all: Vec<_> = (0..TOKENS).map(|_| budget.others.acquire()).collect();
    if options.wants("broadcast") {
        let times = trials::bare_broadcast(trials);
        let what = format!("bare broadcast over {WORKERS} workers without tokens");
        figures.keep(&what, times.millis());
        figures.note(format!("{what}: median"), times.median(), "ms", ..);
        figures.note(format!("{what}: worst"), times.worst(), "ms", ..=20.0);
    }
    if options.wants("idle") {
        let idle = cost::idle(if options.quick { 1 } else { 11 })?;
        let mut note = |what, seconds: Vec<f64>, unit, most| {
            figures.keep(what, seconds.iter().copied());
            figures.note(what, Quartiles::of(seconds).median(), unit, ..=most);
        };
        note("idle global pool: part of a core", idle.shares, "%", 0.2);
        note("idle global pool: context switches", idle.switches, "a second", 60.0);
        let rate = 1.0 / cost::LONGEST_BEAT.as_secs_f64();
        let what = format!("a bare timer of {rate:.0} wake-ups a second: part of a core");
        figures.keep(&what, idle.timers.iter().copied());
        figures.note(what, Quartiles::of(idle.timers).median(), "%", ..);
    }
    drop(all);
    if options.wants("idle") {
        let seconds = if options.quick { 1 } else { 11 };
        let switches = cost::switches_beside_builder(budget.mine, seconds)?;
        let what = "idle global pool and one whose builder does without it: context switches";
        figures.keep(what, switches.iter().copied());
        figures.note(what, Quartiles::of(switches).median(), "a second", ..=120.0);
    }
    Ok(figures.record(&options)?)
}

/// A connection of its own to the same jobserver, as another process would have it.
fn second_connection(jobserver: &Jobserver) -> Result<Jobserver, Box<dyn Error>> {
    let mut child = Command::new("true");
    jobserver.configure(&mut child)?;
    let flags = child.get_envs().find_map(|(name, value)| {
        if name == "CARGO_MAKEFLAGS" { value.map(ToOwned::to_owned) } else { None }
    });
    let flags = flags.ok_or("configure does not name the jobserver")?;
    // SAFETY: no other thread runs yet that could read the environment.
    unsafe { std::env::set_var("CARGO_MAKEFLAGS", flags) };
    Ok(Jobserver::from_env()?.ok_or("the environment names no jobserver")?)
}

fn nap(time: Duration) {
    thread::sleep(time); // in place of a core
}

/// How soon a pool that is done has given all tokens back, whether somebody waits for them or not.
fn tokens_back(figures: &mut Figures, who: &str, budget: &Budget, enter: Enter<'_>, trials: usize) {
    let alone = trials::back_alone(budget, enter, trials);
    let what = format!("{who}: all tokens back when nobody waits");
    figures.keep(&what, alone.millis());
    figures.note(format!("{what}: median"), alone.median(), "ms", ..);
    figures.note(format!("{what}: worst"), alone.worst(), "ms", ..=50.0);
    // Enough that a host that takes a core away for a moment does not make all of the last twentieth.
    let waited = trials::back_to_waiter(budget, enter, 5 * trials);
    let what = format!("{who}: all tokens back when somebody waits");
    figures.keep(&what, waited.millis());
    figures.note(format!("{what}: median"), waited.median(), "ms", ..=2.0);
    figures.note(format!("{what}: 95th percentile"), waited.at(0.95), "ms", ..=2.0);
    figures.note(format!("{what}: worst"), waited.worst(), "ms", ..=2.0);
}
