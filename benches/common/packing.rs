//! A row of the processes: the same processes on one budget, in each way to share it.

use crate::stats::Quartiles;

/// How the processes share the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// This crate, called by its own functions.
    Ours,
    /// This crate's global pool, called by nothing but rayon's functions.
    Bare,
    /// Not at all: stock rayon as wide in each process as if it were alone.
    Oversubscribed,
    /// Stock rayon with an equal part of the budget's threads in each process.
    Split,
    /// Stock rayon with what tokens each process finds free when it starts; it keeps them.
    Sized,
}

impl Mode {
    pub(crate) const ALL: [Mode; 5] =
        [Mode::Ours, Mode::Bare, Mode::Oversubscribed, Mode::Split, Mode::Sized];

    /// As it is written in raw results and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Ours => "ours",
            Mode::Bare => "bare",
            Mode::Oversubscribed => "oversubscribed",
            Mode::Split => "split",
            Mode::Sized => "sized",
        }
    }
}

/// When the processes start, and who holds the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// All at once, each with a slot of its own beside the tokens.
    AtOnce,
    /// GNU make starts each once a slot is free, and that is the process's own.
    Make,
}

impl Start {
    /// As it is written in raw results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Start::AtOnce => "at once",
            Start::Make => "make",
        }
    }
}

/// One run of all the processes. Times are milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// From the first start to the last end.
    pub(crate) wall: f64,
    /// Of a process, on average, and of the slowest.
    pub(crate) mean: f64,
    pub(crate) max: f64,
    /// Jobs at once: the most, and on average.
    pub(crate) peak: f64,
    pub(crate) running: f64,
    /// Context switches of all the processes: because a thread waited, and because it was stopped.
    pub(crate) waits: f64,
    pub(crate) stops: f64,
    /// Time of cores that all the processes used.
    pub(crate) cpu: f64,
    /// Tokens read from the jobserver.
    pub(crate) taken: f64,
}

/// What each number of a sample is called, and where it is.
type Measure = (&'static str, fn(&Sample) -> f64);

pub(crate) const MEASURES: [Measure; 9] = [
    ("wall_ms", |sample| sample.wall),
    ("mean_ms", |sample| sample.mean),
    ("max_ms", |sample| sample.max),
    ("peak", |sample| sample.peak),
    ("running", |sample| sample.running),
    ("waits", |sample| sample.waits),
    ("stops", |sample| sample.stops),
    ("cpu_ms", |sample| sample.cpu),
    ("taken", |sample| sample.taken),
];

/// Columns of the raw results that come before those.
pub(crate) const COLUMNS: [&str; 9] =
    ["leaf", "start", "processes", "tokens", "sizes", "perfect_ms", "fair_ms", "mode", "round"];

/// The processes of a row.
#[derive(Debug)]
pub(crate) struct Row {
    /// Whether leaves compute or sleep.
    pub(crate) leaf: String,
    pub(crate) start: Start,
    pub(crate) processes: usize,
    pub(crate) tokens: usize,
    /// Whether the processes have alike or unlike phases.
    pub(crate) sizes: String,
    /// Milliseconds that no schedule can beat.
    pub(crate) perfect: f64,
    /// Milliseconds that even sharing would take at no cost, if that is known.
    pub(crate) fair: Option<f64>,
    /// In the order of `Mode::ALL`.
    pub(crate) samples: [Vec<Sample>; 5],
}

impl Row {
    pub(crate) fn name(&self) -> String {
        let Row { leaf, processes, tokens, sizes, .. } = self;
        match self.start {
            Start::AtOnce => format!("{processes} processes {sizes}, {tokens} tokens, {leaf}"),
            Start::Make => format!("make -j{} of {processes} {sizes}, {leaf}", tokens + 1),
        }
    }

    /// Jobs that may run at once: the tokens, and each process's own slot, or make's.
    pub(crate) fn slots(&self) -> usize {
        match self.start {
            Start::AtOnce => self.tokens + self.processes,
            Start::Make => self.tokens + 1,
        }
    }

    /// The quartiles over all rounds.
    pub(crate) fn of(&self, mode: Mode, measure: fn(&Sample) -> f64) -> Quartiles {
        Quartiles::of(self.samples[mode as usize].iter().map(measure))
    }

    pub(crate) fn wall(&self, mode: Mode) -> f64 {
        self.of(mode, |sample| sample.wall).median()
    }

    /// Context switches, of both kinds.
    pub(crate) fn switches(&self, mode: Mode) -> f64 {
        self.of(mode, |sample| sample.waits + sample.stops).median()
    }

    fn peak(&self, mode: Mode) -> f64 {
        let peaks = self.samples[mode as usize].iter().map(|sample| sample.peak);
        peaks.fold(0.0, f64::max)
    }

    /// The bounds that ours breaks in this row, and `bare` if that breaks any.
    pub(crate) fn lost(&self) -> Vec<&'static str> {
        let bare = if self.broken(Mode::Bare).is_empty() { None } else { Some("bare") };
        self.broken(Mode::Ours).into_iter().chain(bare).collect()
    }

    /// The bounds that this way breaks in this row; those of others are not held to any.
    ///
    /// Where leaves sleep, any number of them runs at full speed, and oversubscription costs nothing:
    /// it is no rival there.
    pub(crate) fn broken(&self, by: Mode) -> Vec<&'static str> {
        if !matches!(by, Mode::Ours | Mode::Bare) {
            return Vec::new();
        }
        let computing = self.leaf == "computing";
        let ours = self.wall(by);
        // Where perfect packing itself is not that much faster, nothing can be.
        let beaten = |mode| {
            let wall = self.wall(mode);
            wall >= 1.25 * ours || wall < 1.25 * self.perfect
        };
        let bounds = [
            ("sized", !beaten(Mode::Sized)),
            ("split", !beaten(Mode::Split)),
            ("perfect", ours > 1.10 * self.perfect),
            ("oversubscribed", computing && ours > self.wall(Mode::Oversubscribed)),
            ("switches", computing && self.switches(by) >= self.switches(Mode::Oversubscribed)),
            ("peak", self.peak(by) > self.slots() as f64),
        ];
        bounds.into_iter().filter_map(|(bound, broken)| broken.then_some(bound)).collect()
    }
}
