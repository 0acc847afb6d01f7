//! The work: counting the lines and words of files.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;

/// How many of the most frequent words are shown.
const SHOWN: usize = 10;

/// What was found in some files.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    files: usize,
    lines: usize,
    words: HashMap<Vec<u8>, usize>,
    /// What could not be read, in the files' order.
    problems: Vec<String>,
}

impl Counts {
    /// Adds one more file.
    #[must_use]
    pub(crate) fn with_file(mut self, path: &Path) -> Self {
        match fs::read(path) {
            Ok(bytes) => self.count(&bytes),
            Err(error) => self.problems.push(format!("{}: {error}", path.display())),
        }
        self
    }

    fn count(&mut self, bytes: &[u8]) {
        self.files += 1;
        self.lines += bytes.iter().filter(|&&byte| byte == b'\n').count();
        // A last line without an end is a line.
        self.lines += usize::from(bytes.last().is_some_and(|&byte| byte != b'\n'));
        for word in bytes.split(|&byte| !is_letter(byte)).filter(|word| !word.is_empty()) {
            match self.words.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(self.words.insert(word.to_owned(), 1)),
            }
        }
    }

    /// Adds what was found in the files that come after these.
    #[must_use]
    pub(crate) fn and(mut self, mut later: Counts) -> Self {
        if self.words.len() < later.words.len() {
            std::mem::swap(&mut self.words, &mut later.words);
        }
        for (word, count) in later.words {
            *self.words.entry(word).or_default() += count;
        }
        self.files += later.files;
        self.lines += later.lines;
        self.problems.append(&mut later.problems);
        self
    }

    /// The files that could not be read, and why.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The most frequent words first, equals in the order of their bytes.
    fn by_frequency(&self) -> Vec<(&[u8], usize)> {
        let mut words: Vec<_> = self.words.iter().map(|(word, &n)| (word.as_slice(), n)).collect();
        words.sort_unstable_by(|(a, m), (b, n)| n.cmp(m).then_with(|| a.cmp(b)));
        words
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>10} files", self.files)?;
        writeln!(f, "{:>10} lines", self.lines)?;
        writeln!(f, "{:>10} words", self.words.values().sum::<usize>())?;
        for (word, count) in self.by_frequency().into_iter().take(SHOWN) {
            writeln!(f, "{count:>10} {}", String::from_utf8_lossy(word))?;
        }
        Ok(())
    }
}

/// Letters, digits, `_`, and all that is not ASCII, whatever its encoding.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}
