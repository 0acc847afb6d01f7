//! A row of the comparison: the same work on every contender, round by round.

use crate::stats::Quartiles;

/// No row with a token for each worker may be slower than this many times stock rayon, nor any with
/// fewer tokens slower than this many times stock rayon of as many threads.
pub(crate) const BOUND: f64 = 1.05;

/// The same with a token for each worker for the first section after a long idle time.
const IDLE_BOUND: f64 = 1.15;

/// The same for ours beside the fork.
const FORK_BOUND: f64 = 1.02;

/// Bound of the geometric mean over all rows with a token for each worker.
pub(crate) const MEAN_BOUND: f64 = 1.03;

/// What runs the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    /// Stock rayon with as many threads as ours may run workers.
    Stock,
    /// Stock rayon with as many threads as ours, of which only those are free that ours may run.
    Wide,
    /// This crate: a pool of the program's own.
    Ours,
    /// This crate: the global pool, called by rayon's own functions, in a process of its own.
    Bare,
    /// Stock rayon with a thread for each token that is free at the start, and one more.
    Sized,
    /// rustc's fork of rayon, driven by a proxy of the jobserver as rustc has it.
    Fork,
}

impl Contender {
    pub(crate) const ALL: [Contender; 6] = [
        Contender::Stock,
        Contender::Wide,
        Contender::Ours,
        Contender::Bare,
        Contender::Sized,
        Contender::Fork,
    ];

    /// As it is written in raw results and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Contender::Stock => "stock",
            Contender::Wide => "wide",
            Contender::Ours => "ours",
            Contender::Bare => "bare",
            Contender::Sized => "sized",
            Contender::Fork => "fork",
        }
    }
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) millis: f64,
    /// Tokens taken from the jobserver meanwhile.
    pub(crate) taken: u64,
    /// The most leaves at once, where they are counted.
    pub(crate) peak: Option<usize>,
}

/// All runs of some work in one shape.
#[derive(Debug)]
pub(crate) struct Row {
    /// The kind of work, in one word.
    pub(crate) group: String,
    pub(crate) work: String,
    pub(crate) workers: usize,
    pub(crate) tokens: usize,
    /// In the order of `Contender::ALL`.
    pub(crate) samples: [Vec<Sample>; 6],
}

/// Of the raw results: a line a sample.
pub(crate) const COLUMNS: [&str; 9] =
    ["group", "work", "workers", "tokens", "contender", "round", "ms", "taken", "peak"];

/// How many tokens there are for the workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Supply {
    /// Every worker can run.
    Plenty,
    /// Some must wait.
    Starved,
    /// One is free at the start, all of them after a quarter of the work.
    Growing,
}

/// Groups that are bound otherwise than by the numbers of workers and tokens, as the work names them.
pub(crate) const GROWING: &str = "growing";
const PHASES: &str = "phases";
const IDLE: &str = "idle";

impl Row {
    /// How many jobs may run at once.
    pub(crate) fn width(&self) -> usize {
        self.workers.min(self.tokens + 1)
    }

    pub(crate) fn supply(&self) -> Supply {
        if self.group == GROWING {
            Supply::Growing
        } else if self.tokens + 1 >= self.workers {
            Supply::Plenty
        } else {
            Supply::Starved
        }
    }

    /// Whether serial and wide phases follow each other: where idle tokens matter most.
    pub(crate) fn is_of_phases(&self) -> bool {
        self.group == PHASES
    }

    fn samples(&self, contender: Contender) -> &[Sample] {
        &self.samples[contender as usize]
    }

    /// Milliseconds.
    pub(crate) fn quartiles(&self, contender: Contender) -> Quartiles {
        Quartiles::of(self.samples(contender).iter().map(|sample| sample.millis))
    }

    /// Times another one in the same round. What slows the machine down for longer than a round is in both.
    pub(crate) fn ratios(&self, contender: Contender, other: Contender) -> Quartiles {
        let rounds = self.samples(contender).iter().zip(self.samples(other));
        Quartiles::of(rounds.map(|(one, other)| one.millis / other.millis))
    }

    /// Times stock rayon in the same round, in the median; above 1 is slower.
    pub(crate) fn ratio(&self, contender: Contender) -> f64 {
        self.ratios(contender, Contender::Stock).median()
    }

    fn bound(&self) -> f64 {
        if self.is_of_idleness() && self.supply() == Supply::Plenty { IDLE_BOUND } else { BOUND }
    }

    /// Whether a single section follows on idleness: what it takes is a matter of waking up.
    fn is_of_idleness(&self) -> bool {
        self.group == IDLE
    }

    /// Tokens taken in a run, on average.
    pub(crate) fn taken(&self, contender: Contender) -> f64 {
        let samples = self.samples(contender);
        samples.iter().map(|sample| sample.taken).sum::<u64>() as f64 / samples.len() as f64
    }

    /// The most leaves at once in any run.
    pub(crate) fn peak(&self, contender: Contender) -> Option<usize> {
        self.samples(contender).iter().filter_map(|sample| sample.peak).max()
    }

    /// The bounds that ours breaks in this row.
    pub(crate) fn lost(&self) -> Vec<&'static str> {
        let growing = self.supply() == Supply::Growing;
        // Tokens that come later are of use to ours alone, and to the fork.
        let (other, bound) =
            if growing { (Contender::Sized, 1.0) } else { (Contender::Stock, self.bound()) };
        let slower = |who, other, bound| self.ratios(who, other).median() > bound;
        let ours = slower(Contender::Ours, other, bound);
        // To be as wide as stock rayon takes each token once.
        let allowed = ((self.width() - 1) as f64).max(self.taken(Contender::Fork) / 10.0);
        let greedy = |who| self.is_of_phases() && self.taken(who) > allowed;
        let bounds = [
            ("stock", !growing && ours),
            ("sized", growing && ours),
            ("bare", slower(Contender::Bare, other, bound)),
            ("fork", slower(Contender::Ours, Contender::Fork, FORK_BOUND)),
            ("fork by bare", slower(Contender::Bare, Contender::Fork, FORK_BOUND)),
            ("tokens", greedy(Contender::Ours)),
            ("tokens of bare", greedy(Contender::Bare)),
            ("peak", self.peak(Contender::Ours) > Some(self.width())),
            ("peak of bare", self.peak(Contender::Bare) > Some(self.width())),
        ];
        bounds.into_iter().filter_map(|(bound, broken)| broken.then_some(bound)).collect()
    }
}

/// The rows that a mean is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Average {
    /// Those with a token for each worker.
    Plenty,
    /// The same without those of a single section after idleness: how many cores are awake for it makes twice as much
    /// of a difference to anybody.
    Awake,
    /// Those with fewer tokens, without those of more threads than two cores can search for work.
    Starved,
}

impl Average {
    pub(crate) const ALL: [Average; 3] = [Average::Plenty, Average::Awake, Average::Starved];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Average::Plenty => "a token for each worker",
            Average::Awake => "the same, without the rows of idleness",
            Average::Starved => "fewer tokens, without the rows of 256 threads",
        }
    }

    /// What the mean may be at most, for ours.
    pub(crate) fn bound(self) -> Option<f64> {
        matches!(self, Average::Plenty | Average::Awake).then_some(MEAN_BOUND)
    }

    fn counts(self, row: &Row) -> bool {
        match self {
            Average::Plenty => row.supply() == Supply::Plenty,
            Average::Awake => row.supply() == Supply::Plenty && !row.is_of_idleness(),
            Average::Starved => row.supply() == Supply::Starved && row.workers < 256,
        }
    }

    /// The mean of a contender's ratios to stock, in which twice as fast and half as fast cancel out. NaN if there are
    /// no such rows.
    pub(crate) fn of(self, rows: &[Row], contender: Contender) -> f64 {
        let rows = rows.iter().filter(|row| self.counts(row));
        let (sum, count) = rows
            .fold((0.0, 0.0), |(sum, count), row| (sum + row.ratio(contender).ln(), count + 1.0));
        f64::exp(sum / count)
    }

    /// Whether ours breaks the bound of this mean.
    pub(crate) fn is_lost(self, rows: &[Row], contender: Contender) -> bool {
        let ours = [Contender::Ours, Contender::Bare].contains(&contender);
        ours && self.bound().is_some_and(|bound| self.of(rows, contender) > bound)
    }
}
