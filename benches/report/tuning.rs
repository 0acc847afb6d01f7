//! What the policy's constants are worth: the same work with each of them larger and smaller.

use crate::stats::Quartiles;

/// Of the raw results: a line a round.
pub(crate) const COLUMNS: [&str; 9] =
    ["knob", "factor", "work", "workers", "tokens", "round", "ms", "stock_ms", "taken"];

/// The knob of the rounds in which nothing is changed.
const UNTOUCHED: &str = "none";

/// How much worse a ratio must be than without the change to be told from noise.
const NOTEWORTHY: f64 = 0.05;

/// One run of ours, and of stock rayon beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) millis: f64,
    pub(crate) stock_millis: f64,
    pub(crate) taken: f64,
}

/// One constant at one factor.
#[derive(Debug)]
struct Change {
    knob: String,
    factor: String,
    /// For each piece of work; the last ones may be missing.
    samples: Vec<Vec<Sample>>,
}

#[derive(Debug, Default)]
pub(crate) struct Tuning {
    /// What was run, in words.
    works: Vec<String>,
    changes: Vec<Change>,
}

impl Tuning {
    pub(crate) fn add(&mut self, knob: &str, factor: &str, work: String, sample: Sample) {
        let work = place(&mut self.works, |known| *known == work, || work.clone());
        let same = |change: &Change| change.knob == knob && change.factor == factor;
        let change = place(&mut self.changes, same, || Change {
            knob: knob.to_owned(),
            factor: factor.to_owned(),
            samples: Vec::new(),
        });
        let samples = &mut self.changes[change].samples;
        if samples.len() <= work {
            samples.resize(work + 1, Vec::new());
        }
        samples[work].push(sample);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(crate) fn columns(&self) -> Vec<&str> {
        ["constant", "times"].into_iter().chain(self.works.iter().map(String::as_str)).collect()
    }

    /// A line a change, the one that is none first: in each cell the ratio to stock rayon and the
    /// tokens taken.
    pub(crate) fn lines(&self) -> Vec<Vec<String>> {
        let (untouched, changed): (Vec<_>, Vec<_>) =
            self.changes.iter().partition(|change| change.knob == UNTOUCHED);
        let base = |work| untouched.first().map_or(f64::NAN, |change| change.ratio(work));
        let line = |change: &&Change| {
            let cells = (0..self.works.len()).map(|work| change.cell(work, base(work)));
            [change.knob.clone(), change.factor.clone()].into_iter().chain(cells).collect()
        };
        untouched.iter().chain(&changed).map(line).collect()
    }
}

impl Change {
    fn of(&self, work: usize) -> &[Sample] {
        self.samples.get(work).map_or(&[], Vec::as_slice)
    }

    fn ratio(&self, work: usize) -> f64 {
        let ratios = self.of(work).iter().map(|round| round.millis / round.stock_millis);
        Quartiles::of(ratios).median()
    }

    fn cell(&self, work: usize, base: f64) -> String {
        let samples = self.of(work);
        if samples.is_empty() {
            return String::new();
        }
        let ratio = self.ratio(work);
        let taken = samples.iter().map(|it| it.taken).sum::<f64>() / samples.len() as f64;
        let text = format!("{ratio:.3} / {taken:.1}");
        if ratio > base + NOTEWORTHY { format!("**{text}**") } else { text }
    }
}

/// Where the one is that is looked for; it is put at the end if it is not there.
fn place<T>(all: &mut Vec<T>, same: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    all.iter().position(same).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    })
}
