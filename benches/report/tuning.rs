//! What the policy's constants are worth: the same work with each of them larger and smaller.

use crate::columns::NONE;
use crate::stats::Quartiles;

/// How much slower than without the change is to be shown.
const NOTEWORTHY: f64 = 1.05;

/// A constant that plays no part in any of the work.
const WITHOUT_A_PART: &str = "forbearance";

/// One run with the change, and one without it in the same round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) millis: f64,
    pub(crate) base_millis: f64,
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

    /// A line a change: in each cell the ratio to the same without it, and the tokens taken.
    pub(crate) fn lines(&self) -> Vec<Vec<String>> {
        let line = |change: &Change| {
            let cells = (0..self.works.len()).map(|work| change.cell(work));
            [change.knob.clone(), change.factor.clone()].into_iter().chain(cells).collect()
        };
        self.changes.iter().map(line).collect()
    }

    /// How many cells are noteworthy, of those in which something that matters is changed, and of the others.
    pub(crate) fn verdict(&self) -> String {
        let (noise, changed): (Vec<_>, Vec<_>) =
            self.changes.iter().partition(|it| [NONE, WITHOUT_A_PART].contains(&it.knob.as_str()));
        let count = |changes: &[&Change]| {
            let all =
                || changes.iter().flat_map(|it| it.samples.iter()).filter(|it| !it.is_empty());
            let bold = all().filter(|samples| is_noteworthy(samples)).count();
            format!("{bold} of {}", all().count())
        };
        format!(
            "Where nothing that matters is changed, in the lines of `{NONE}` and `{WITHOUT_A_PART}`, \
             {} cells are bold; in all others {} are.\n",
            count(&noise),
            count(&changed)
        )
    }
}

impl Change {
    fn cell(&self, work: usize) -> String {
        let samples = self.samples.get(work).map_or(&[][..], Vec::as_slice);
        if samples.is_empty() {
            return String::new();
        }
        let ratio = ratios(samples).median();
        let taken = samples.iter().map(|it| it.taken).sum::<f64>() / samples.len() as f64;
        let text = format!("{ratio:.3} / {taken:.1}");
        if is_noteworthy(samples) { format!("**{text}**") } else { text }
    }
}

fn ratios(samples: &[Sample]) -> Quartiles {
    Quartiles::of(samples.iter().map(|round| round.millis / round.base_millis))
}

/// Whether the change is slower in the median by so much, and slower at all in three of four rounds.
fn is_noteworthy(samples: &[Sample]) -> bool {
    let [low, median, _] = ratios(samples).0;
    median > NOTEWORTHY && low > 1.0
}

/// Where the one is that is looked for; it is put at the end if it is not there.
fn place<T>(all: &mut Vec<T>, same: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    all.iter().position(same).unwrap_or_else(|| {
        all.push(new());
        all.len() - 1
    })
}
