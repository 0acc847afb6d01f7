//! What the environment says about a jobserver: pure text, nothing is opened here.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// The variables, the most specific first.
pub(super) const VARIABLES: [&str; 3] = ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS"];

/// A variable that says something about a jobserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) variable: &'static str,
    pub(super) value: OsString,
    pub(super) meaning: Meaning,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Two inherited descriptors, to read from and to write to.
    Descriptors(i32, i32),
    Fifo(PathBuf),
    /// Something that is neither: the name of a Windows semaphore, or a mistake.
    Named(String),
    /// There is one, but not for us: a negative descriptor, or a dry run.
    Off,
    /// `-j1`: make runs one job at a time and needs no jobserver to do so.
    Alone,
}

/// Reads the variables through `lookup` and returns the first that says something.
pub(super) fn find(lookup: impl Fn(&str) -> Option<OsString>) -> Option<Mention> {
    let mentions = VARIABLES.iter().filter_map(|&variable| {
        let value = lookup(variable)?;
        let meaning = interpret(&value)?;
        Some(Mention { variable, value, meaning })
    });
    // An explicit `-j1` says less than a jobserver named by another variable.
    let mut alone = None;
    for mention in mentions {
        if mention.meaning != Meaning::Alone {
            return Some(mention);
        }
        alone.get_or_insert(mention);
    }
    alone
}

fn interpret(value: &OsStr) -> Option<Meaning> {
    let text = value.to_string_lossy();
    let words = words(&text);
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let options = || words[..end].iter();

    // The first word holds the single-letter options, without their dash, unless it is an option
    // with a dash or a variable itself.
    let letters = options().next().filter(|word| !word.starts_with('-') && !word.contains('='));
    let dry = letters.is_some_and(|word| word.contains('n')) || options().any(|word| word == "-n");

    let auth = options().filter_map(|word| word.strip_prefix("--jobserver-auth=")).next_back();
    let auth = auth
        .or_else(|| options().filter_map(|word| word.strip_prefix("--jobserver-fds=")).next_back());
    match auth {
        Some(_) if dry => Some(Meaning::Off),
        Some(auth) => Some(address(auth)),
        None if options().rfind(|word| is_job_count(word))? == "-j1" => Some(Meaning::Alone),
        None => None,
    }
}

fn is_job_count(word: &str) -> bool {
    let Some(count) = word.strip_prefix("-j") else { return false };
    count.bytes().all(|digit| digit.is_ascii_digit())
}

fn address(auth: &str) -> Meaning {
    if let Some(path) = auth.strip_prefix("fifo:") {
        return Meaning::Fifo(PathBuf::from(path));
    }
    let numbers = auth
        .split_once(',')
        .and_then(|(read, write)| Some((read.parse::<i32>().ok()?, write.parse::<i32>().ok()?)));
    match numbers {
        Some((read, write)) if read < 0 || write < 0 => Meaning::Off,
        Some((read, write)) => Meaning::Descriptors(read, write),
        None => Meaning::Named(auth.to_owned()),
    }
}

/// Splits at blanks that no backslash escapes, and undoes make's escapes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => word.extend(letters.next()),
            ' ' | '\t' | '\n' => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(makeflags: &str) -> Option<Meaning> {
        interpret(OsStr::new(makeflags))
    }

    #[test]
    fn what_makes_and_cargo_write() {
        let pipe = Some(Meaning::Descriptors(3, 4));
        let fifo = |path: &str| Some(Meaning::Fifo(path.into()));
        let named = |name: &str| Some(Meaning::Named(name.to_owned()));
        let cases = [
            ("", None),
            ("k", None),
            (" -j4 --jobserver-auth=3,4", pipe.clone()),
            ("ks -j4 --jobserver-auth=3,4", pipe.clone()),
            (" -j4 --jobserver-auth=fifo:/tmp/GMfifo77", fifo("/tmp/GMfifo77")),
            (" -j4 --jobserver-auth=fifo:/tmp/a\\ b/GMfifo77", fifo("/tmp/a b/GMfifo77")),
            ("-j --jobserver-fds=3,4 --jobserver-auth=3,4", pipe.clone()),
            ("--jobserver-fds=3,4", pipe.clone()),
            ("--jobserver-fds=8,9 --jobserver-auth=3,4", pipe.clone()),
            ("--jobserver-auth=8,9 --jobserver-auth=3,4", pipe.clone()),
            (" -j4 --jobserver-auth=3,4 -- V=--jobserver-auth=77,78", pipe.clone()),
            (" -- V=--jobserver-auth=77,78", None),
            (" -- V=a\\ --jobserver-auth=77,78", None),
            (" -j4 --jobserver-auth=-2,-2", Some(Meaning::Off)),
            ("n -j4 --jobserver-auth=3,4", Some(Meaning::Off)),
            ("kn -j4 --jobserver-auth=3,4", Some(Meaning::Off)),
            (" -j4 --no-print-directory --jobserver-auth=3,4", pipe.clone()),
            (" -j1", Some(Meaning::Alone)),
            (" -j", None),
            (" -j8", None),
            ("x--jobserver-auth=3,4", None),
            ("--jobserver-auth=gmake_semaphore_5", named("gmake_semaphore_5")),
            ("--jobserver-auth=3", named("3")),
            ("--jobserver-auth=", named("")),
            ("--jobserver-auth=3,x", named("3,x")),
        ];
        for (makeflags, expected) in cases {
            assert_eq!(means(makeflags), expected, "MAKEFLAGS={makeflags:?}");
        }
    }

    #[test]
    fn a_variable_that_says_nothing_hides_none_that_does() {
        let environment = |pairs: &'static [(&str, &str)]| {
            find(move |name| {
                pairs.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
            })
            .map(|mention| (mention.variable, mention.meaning))
        };
        assert_eq!(environment(&[]), None);
        assert_eq!(
            environment(&[("CARGO_MAKEFLAGS", ""), ("MAKEFLAGS", "--jobserver-auth=3,4")]),
            Some(("MAKEFLAGS", Meaning::Descriptors(3, 4)))
        );
        assert_eq!(
            environment(&[
                ("CARGO_MAKEFLAGS", "--jobserver-auth=5,6"),
                ("MAKEFLAGS", "--jobserver-auth=3,4")
            ]),
            Some(("CARGO_MAKEFLAGS", Meaning::Descriptors(5, 6)))
        );
        assert_eq!(
            environment(&[("MAKEFLAGS", " -j1"), ("MFLAGS", "-j1")]),
            Some(("MAKEFLAGS", Meaning::Alone))
        );
    }
}
