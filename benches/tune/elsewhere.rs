//! The same for other benches: each runs as it is, and the environment tells it which constant to change.

use std::env;
use std::error::Error;
use std::process::{Command, Stdio};

use crate::lines::lines;

/// Read by the library where its constants can be changed: `NAME=FACTOR`.
const TUNED: &str = "RAYON_JOBSERVER_TUNED";

/// Of the raw results of such a bench.
const COLUMNS: [&str; 6] = ["bench", "figure", "value", "unit", "at_least", "at_most"];

/// A figure: its name, value and unit.
pub(crate) type Figure = (String, String, String);

/// Some figures of a bench.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) bench: &'static str,
    /// What is run of the bench, as it takes it from the command line.
    arguments: &'static [&'static str],
    /// The constants that have a part in it.
    knobs: &'static [&'static str],
    /// Parts of the names of the figures that are kept.
    figures: &'static [&'static str],
}

pub(crate) const ALL: [Elsewhere; 7] = [
    Elsewhere {
        bench: "processes",
        arguments: &["2 processes unlike, 12", "4 processes alike, 12"],
        knobs: &[
            "tau",
            "patience_within",
            "hold",
            "canary",
            "window",
            "backoff_first",
            "backoff_longest",
            "recheck_least",
            "recheck_most",
            "look_first",
            "look_longest",
            "sweep",
        ],
        figures: &[""],
    },
    Elsewhere {
        bench: "share",
        arguments: &["equals", "waiting", "--quick"],
        knobs: &["term", "pause_least", "pause_most", "offer"],
        figures: &["one of two equals", "median"],
    },
    Elsewhere {
        bench: "latency",
        arguments: &["back", "--quick"],
        knobs: &["patience_without", "hold", "canary", "beat_longest"],
        figures: &["waits: median"],
    },
    Elsewhere {
        bench: "latency",
        arguments: &["growth", "--quick"],
        knobs: &["tau", "look_first", "look_longest"],
        figures: &["median"],
    },
    Elsewhere {
        bench: "latency",
        arguments: &["broadcast", "--quick"],
        knobs: &["beat_first", "beat_longest", "settle", "sweep"],
        figures: &["median"],
    },
    Elsewhere {
        bench: "latency",
        // The beat is at its longest only after seconds.
        arguments: &["idle"],
        knobs: &["beat_longest"],
        figures: &["context switches"],
    },
    Elsewhere {
        bench: "blocking",
        arguments: &["throughput", "barrier", "--quick"],
        knobs: &["detect", "forbearance"],
        figures: &["without a word: ours of the limit", "32 workers without tokens: worst"],
    },
];

impl Elsewhere {
    /// Whether this constant has a part in it.
    pub(crate) fn minds(&self, knob: &str) -> bool {
        self.knobs.contains(&knob)
    }

    /// Runs it with this setting, or as it is.
    pub(crate) fn run(&self, setting: Option<(&str, f64)>) -> Result<Vec<Figure>, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        // This bench lies in `release/deps` of the build that its constants can be changed in.
        let this = env::current_exe()?;
        let target = this.ancestors().nth(3).ok_or("a bench lies deeper than that")?;
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(["bench", "--locked", "--quiet", "--bench", self.bench, "--target-dir"]);
        command.arg(target).arg("--").args(self.arguments).arg("--record").arg(folder.path());
        if let Some((knob, factor)) = setting {
            command.env(TUNED, format!("{knob}={factor}"));
        }
        let status = command.stdout(Stdio::null()).status()?;
        if !status.success() {
            return Err(format!("the bench {} with {setting:?}: {status}", self.bench).into());
        }
        let figures = lines(folder.path(), &format!("{}.csv", self.bench), &COLUMNS)?;
        let figures =
            figures.into_iter().map(|line| (line[1].clone(), line[2].clone(), line[3].clone()));
        let kept = |figure: &Figure| self.figures.iter().any(|part| figure.0.contains(part));
        let figures: Vec<Figure> = figures.filter(kept).collect();
        if figures.is_empty() {
            return Err(format!("no such figures of {}: {:?}", self.bench, self.figures).into());
        }
        Ok(figures)
    }
}
