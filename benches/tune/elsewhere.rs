//! The same for other benches: each runs as it is, and the environment tells it which constant to change.

use std::env;
use std::error::Error;
use std::process::{Command, Stdio};

use crate::figure::Figure;
use crate::read_figures::figures;

/// Read by the library where its constants can be changed: `NAME=FACTOR`.
const TUNED: &str = "RAYON_JOBSERVER_TUNED";

/// Some figures of a bench.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) bench: &'static str,
    /// What is run of the bench, as it takes it from the command line.
    arguments: &'static [&'static str],
    /// How often each setting is run, with the others in between.
    pub(crate) rounds: usize,
    /// The constants that have a part in it.
    knobs: &'static [&'static str],
    /// Parts of the names of the figures that are kept.
    figures: &'static [&'static str],
}

pub(crate) const ALL: [Elsewhere; 8] = [
    Elsewhere {
        bench: "processes",
        arguments: &["2 processes unlike, 12", "4 processes alike, 12"],
        rounds: 1,
        // Somebody else always wants what one has, and serial phases are long.
        knobs: &["tau", "patience_within", "canary", "window", "backoff_longest", "look_longest"],
        figures: &[""],
    },
    Elsewhere {
        bench: "share",
        arguments: &["equals", "--quick"],
        rounds: 1,
        knobs: &["term", "pause_least", "offer"],
        figures: &["worst"],
    },
    Elsewhere {
        bench: "share",
        // There are ten waits then; whoever waits that rarely meets the longest pauses.
        arguments: &["waiting"],
        rounds: 1,
        knobs: &["pause_most", "offer"],
        figures: &["median"],
    },
    Elsewhere {
        bench: "latency",
        arguments: &["back", "--quick"],
        rounds: 2,
        knobs: &["patience_without", "hold", "canary"],
        figures: &["waits: median"],
    },
    Elsewhere {
        bench: "latency",
        arguments: &["growth", "--quick"],
        rounds: 2,
        knobs: &["tau", "look_first", "look_longest"],
        figures: &["owned pool: from a token's release to a job on it: median"],
    },
    Elsewhere {
        bench: "latency",
        arguments: &["broadcast", "--quick"],
        rounds: 2,
        // Only the last of its pauses is as long as it takes until the beat is at its longest.
        knobs: &["beat_longest", "sweep", "settle"],
        figures: &["median", "worst"],
    },
    Elsewhere {
        bench: "latency",
        // The beat is at its longest only after seconds.
        arguments: &["idle"],
        rounds: 1,
        knobs: &["beat_longest"],
        figures: &["context switches"],
    },
    Elsewhere {
        bench: "blocking",
        arguments: &["throughput", "barrier", "--quick"],
        rounds: 1,
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
        let kept = |figure: &Figure| self.figures.iter().any(|part| figure.name.contains(part));
        let figures: Vec<_> =
            figures(folder.path(), self.bench)?.into_iter().filter(kept).collect();
        if figures.is_empty() {
            return Err(format!("no such figures of {}: {:?}", self.bench, self.figures).into());
        }
        Ok(figures)
    }
}
