//! What the environment says about a jobserver: pure text, nothing is opened here.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The variables, the most specific first.
const VARIABLES: [&str; 3] = ["CARGO_MAKEFLAGS", "MAKEFLAGS", MFLAGS];
const MFLAGS: &str = "MFLAGS";

/// A variable that says something about a jobserver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) variable: &'static str,
    pub(super) value: OsString,
    pub(super) meaning: Meaning,
}

#[cfg(unix)]
impl Mention {
    /// Whether the process was started with this, for all that is known: then what it names was inherited, too. What
    /// the program has set itself it may have opened itself.
    pub(super) fn was_inherited(&self) -> bool {
        let all = if cfg!(target_os = "linux") {
            std::fs::read("/proc/self/environ")
        } else {
            Ok(Vec::new())
        };
        let ours = [self.variable.as_bytes(), self.value.as_encoded_bytes()].join(&b'=');
        all.is_ok_and(|all| all.split(|&byte| byte == 0).any(|variable| variable == ours))
    }
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

impl Mention {
    /// Whether it names a jobserver to connect to.
    pub(super) fn is_address(&self) -> bool {
        match self.meaning {
            Meaning::Descriptors(..) | Meaning::Fifo(_) | Meaning::Named(_) => true,
            Meaning::Off | Meaning::Alone => false,
        }
    }
}

/// Reads the variables through `lookup` and returns those that say something, what counts most first.
pub(super) fn find(lookup: impl Fn(&str) -> Option<OsString>) -> Vec<Mention> {
    let mentions = VARIABLES.iter().filter_map(|&variable| {
        let value = lookup(variable)?;
        let mut meaning = interpret(&value)?;
        if let (MFLAGS, Meaning::Fifo(fifo)) = (variable, &mut meaning) {
            *fifo = single_dollars(fifo);
        }
        Some(Mention { variable, value, meaning })
    });
    // An explicit `-j1` says less than a jobserver named by another variable.
    let mut mentions: Vec<_> = mentions.collect();
    mentions.sort_by_key(|mention| mention.meaning == Meaning::Alone);
    mentions
}

fn interpret(value: &OsStr) -> Option<Meaning> {
    let words = words(value.as_encoded_bytes());
    let options = Options::among(&words);
    match options.auth.or(options.fds) {
        Some(_) if options.dry_run => Some(Meaning::Off),
        Some(auth) => Some(address(auth)),
        None => options.one_job.then_some(Meaning::Alone),
    }
}

/// What make's options say; of several that contradict, the last.
#[derive(Default)]
struct Options<'a> {
    auth: Option<&'a [u8]>,
    /// The same before make 4.2.
    fds: Option<&'a [u8]>,
    dry_run: bool,
    one_job: bool,
}

impl<'a> Options<'a> {
    fn among(words: &'a [Vec<u8>]) -> Self {
        // What follows are variables, whatever their values look like.
        let end = words.iter().position(|word| word == b"--").unwrap_or(words.len());
        let mut options = Self::default();
        for (at, word) in words[..end].iter().enumerate() {
            if let Some(long) = word.strip_prefix(b"--") {
                options.note_long(long);
            } else if let Some(letters) = word.strip_prefix(b"-") {
                options.note_letters(letters, words.get(at + 1));
            } else if at == 0 && !word.contains(&b'=') {
                // make leaves the dash of the single letters out, in `MAKEFLAGS` alone.
                options.note_letters(word, words.get(at + 1));
            }
        }
        options
    }

    fn note_long(&mut self, option: &'a [u8]) {
        if let Some(auth) = option.strip_prefix(b"jobserver-auth=") {
            self.auth = Some(auth);
        } else if let Some(fds) = option.strip_prefix(b"jobserver-fds=") {
            self.fds = Some(fds);
        }
    }

    fn note_letters(&mut self, letters: &'a [u8], next: Option<&'a Vec<u8>>) {
        for (at, letter) in letters.iter().enumerate() {
            match letter {
                b'n' => self.dry_run = true,
                b'j' => {
                    let rest = &letters[at + 1..];
                    // The next word is an argument only if it is a number.
                    let count = if rest.is_empty() { next.map(Vec::as_slice) } else { Some(rest) };
                    self.one_job = count.and_then(number::<u32>) == Some(1);
                    return;
                }
                // The rest of the word is the argument of these.
                b'C' | b'E' | b'I' | b'O' | b'W' | b'f' | b'l' | b'o' => return,
                _ => {}
            }
        }
    }
}

fn number<N: FromStr>(text: &[u8]) -> Option<N> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn address(auth: &[u8]) -> Meaning {
    if let Some(fifo) = auth.strip_prefix(b"fifo:") {
        return Meaning::Fifo(path(fifo));
    }
    let mut ends = auth.splitn(2, |&byte| byte == b',').map(number::<i32>);
    match (ends.next().flatten(), ends.next().flatten()) {
        (Some(read), Some(write)) if read < 0 || write < 0 => Meaning::Off,
        (Some(read), Some(write)) => Meaning::Descriptors(read, write),
        _ => Meaning::Named(String::from_utf8_lossy(auth).into_owned()),
    }
}

#[cfg(unix)]
fn path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(OsStr::from_bytes(bytes))
}

#[cfg(not(unix))]
fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(&*String::from_utf8_lossy(bytes))
}

/// Undoes what make 4.4.1 does to dollars in `MFLAGS`, and not in `MAKEFLAGS`.
fn single_dollars(fifo: &Path) -> PathBuf {
    let mut bytes = fifo.as_os_str().as_encoded_bytes().iter().copied().peekable();
    let mut single = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'$' {
            bytes.next_if_eq(&b'$');
        }
        single.push(byte);
    }
    path(&single)
}

/// What make's variable says but for its jobserver, with another one in its place: the other options and the variables
/// of the command line are meant for each make below.
#[cfg(unix)]
pub(super) fn with_jobserver(inherited: &[u8], jobserver: &[u8]) -> Vec<u8> {
    let words = escaped_words(inherited);
    let end = words.iter().position(|word| *word == b"--").unwrap_or(words.len());
    let (options, variables) = words.split_at(end);
    let mut said: Vec<&[u8]> = Vec::new();
    let mut jobs_follow = false;
    for &word in options {
        let count =
            std::mem::replace(&mut jobs_follow, word == b"-j") && number::<u32>(word).is_some();
        let names = [&b"-j"[..], b"--jobserver-auth=", b"--jobserver-fds="];
        if !count && !names.iter().any(|name| word.starts_with(name)) {
            said.push(word);
        }
    }
    // By a blank in front make says that there are no single letters without a dash.
    if said.first().is_none_or(|word| word.starts_with(b"-")) {
        said.insert(0, b"");
    }
    said.push(jobserver);
    said.extend(variables);
    said.join(&b' ')
}

/// Splits at blanks that no backslash escapes, and undoes make's escapes.
fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let unescaped = |word: &[u8]| {
        let mut bytes = word.iter().copied();
        let mut unescaped = Vec::new();
        while let Some(byte) = bytes.next() {
            unescaped.push(if byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte });
        }
        unescaped
    };
    escaped_words(text).into_iter().map(unescaped).collect()
}

/// Splits at blanks that no backslash escapes.
fn escaped_words(text: &[u8]) -> Vec<&[u8]> {
    let mut escaped = false;
    let blank = |&byte: &u8| {
        let blank = !escaped && matches!(byte, b' ' | b'\t' | b'\n');
        escaped = byte == b'\\' && !escaped;
        blank
    };
    text.split(blank).filter(|word| !word.is_empty()).collect()
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
            ("-j 1", Some(Meaning::Alone)),
            ("kj1", Some(Meaning::Alone)),
            ("-j4 -j1", Some(Meaning::Alone)),
            ("-j1 -j", None),
            ("-kn -j4 --jobserver-auth=3,4", Some(Meaning::Off)),
            ("-Inn -j4 --jobserver-auth=3,4", pipe.clone()),
            ("kInn -j4 --jobserver-auth=3,4", pipe.clone()),
            ("n=1 --jobserver-auth=3,4", pipe.clone()),
            ("--jobserver-auth=fifo:/tmp/a\\\\\\ b\\", fifo("/tmp/a\\ b\\")),
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
    fn dollars_are_doubled_in_mflags_alone() {
        let found = |variable: &'static str| {
            let auth = "--jobserver-auth=fifo:/tmp/a$$b";
            let found = find(move |name| (name == variable).then(|| auth.into()));
            found.into_iter().map(|found| found.meaning).collect::<Vec<_>>()
        };
        assert_eq!(found("MAKEFLAGS"), [Meaning::Fifo("/tmp/a$$b".into())]);
        assert_eq!(found("MFLAGS"), [Meaning::Fifo("/tmp/a$b".into())]);
    }

    #[test]
    fn a_variable_that_says_nothing_hides_none_that_does() {
        let environment = |pairs: &'static [(&str, &str)]| {
            find(move |name| {
                pairs.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
            })
            .into_iter()
            .map(|mention| (mention.variable, mention.meaning))
            .collect::<Vec<_>>()
        };
        assert_eq!(environment(&[]), []);
        assert_eq!(
            environment(&[("CARGO_MAKEFLAGS", ""), ("MAKEFLAGS", "--jobserver-auth=3,4")]),
            [("MAKEFLAGS", Meaning::Descriptors(3, 4))]
        );
        assert_eq!(
            environment(&[
                ("CARGO_MAKEFLAGS", "--jobserver-auth=5,6"),
                ("MAKEFLAGS", "--jobserver-auth=3,4")
            ]),
            [
                ("CARGO_MAKEFLAGS", Meaning::Descriptors(5, 6)),
                ("MAKEFLAGS", Meaning::Descriptors(3, 4))
            ]
        );
        assert_eq!(
            environment(&[("MAKEFLAGS", " -j1"), ("MFLAGS", "--jobserver-auth=3,4")]),
            [("MFLAGS", Meaning::Descriptors(3, 4)), ("MAKEFLAGS", Meaning::Alone)]
        );
        assert_eq!(
            environment(&[("MAKEFLAGS", " -j1"), ("MFLAGS", "-j1")]),
            [("MAKEFLAGS", Meaning::Alone), ("MFLAGS", Meaning::Alone)]
        );
    }

    #[cfg(unix)]
    #[test]
    fn another_jobserver_takes_the_place_of_the_one_that_make_names() {
        let cases = [
            ("", " -j --jobserver-auth=8,9"),
            (" -j4 --jobserver-auth=3,4", " -j --jobserver-auth=8,9"),
            ("-j 4 --jobserver-fds=3,4 --jobserver-auth=3,4", " -j --jobserver-auth=8,9"),
            (" -j -l 4", " -l 4 -j --jobserver-auth=8,9"),
            ("ks -j4 --jobserver-auth=fifo:/a\\ b", "ks -j --jobserver-auth=8,9"),
            ("n -j1", "n -j --jobserver-auth=8,9"),
            (" --no-print-directory", " --no-print-directory -j --jobserver-auth=8,9"),
            (
                "k -j4 --jobserver-auth=3,4 -- V=5 W=a\\ \\\\\\ -j1",
                "k -j --jobserver-auth=8,9 -- V=5 W=a\\ \\\\\\ -j1",
            ),
            (" -- V=--jobserver-auth=3,4", " -j --jobserver-auth=8,9 -- V=--jobserver-auth=3,4"),
        ];
        for (inherited, expected) in cases {
            let said = with_jobserver(inherited.as_bytes(), b"-j --jobserver-auth=8,9");
            assert_eq!(String::from_utf8(said).as_deref(), Ok(expected), "MAKEFLAGS={inherited:?}");
        }
    }
}
