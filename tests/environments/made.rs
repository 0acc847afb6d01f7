//! Environments that nobody recorded, for what may happen all the same.

use super::Expected::{Error, Nothing, Tokens};
use super::Place::{At, Named};
use super::stage::Thing::{self, Directory, Fifo, File, Link, Null, Reader, Socket, Writer};
use super::{ALONE, CARGO, Case, Expected, MAKE, MFLAGS, Place};

/// A good jobserver.
const PIPE: &[(Place, Thing)] = &[(At(3), Reader(3)), (At(4), Writer(3))];
const AUTH: &[u8] = b" -j4 --jobserver-auth=3,4";

type Variables = &'static [(&'static str, &'static [u8])];
type Things = &'static [(Place, Thing)];

const fn case(
    what: &'static str,
    variables: Variables,
    things: Things,
    expected: Expected,
) -> Case {
    Case { what, variables, things, expected }
}

const NO_PIPE: &str = "and cannot hold tokens";

pub(crate) const CASES: &[Case] = &[
    // Which variable, and which word of it.
    case("an empty variable hides none", &[(CARGO, b""), (MAKE, AUTH)], PIPE, Tokens(3)),
    case("nor do two", &[(CARGO, b" "), (MAKE, b"\t\n"), (MFLAGS, AUTH)], PIPE, Tokens(3)),
    case("nor one with no jobserver", &[(CARGO, b"-j"), (MAKE, AUTH)], PIPE, Tokens(3)),
    case("nor an explicit -j1", &[(CARGO, b"-j1"), (MAKE, AUTH)], PIPE, Tokens(3)),
    case(
        "the first variable that names one",
        &[(CARGO, AUTH), (MAKE, b"--jobserver-auth=8,9")],
        PIPE,
        Tokens(3),
    ),
    case(
        "a broken one hides none that can be used",
        &[(CARGO, b"--jobserver-auth=8,9"), (MAKE, AUTH)],
        PIPE,
        Tokens(3),
    ),
    case(
        "of two broken ones the first is told of",
        &[(CARGO, b"--jobserver-auth=8,9"), (MAKE, b"--jobserver-auth=6,7")],
        &[],
        Error(CARGO, "descriptor 8 is not open"),
    ),
    case(
        "a broken one is not excused by an explicit -j1",
        &[(CARGO, b"--jobserver-auth=8,9"), (MAKE, b" -j1")],
        &[],
        Error(CARGO, "descriptor 8 is not open"),
    ),
    case(
        "nor by one that is off",
        &[(CARGO, b"--jobserver-auth=8,9"), (MAKE, b" -j4 --jobserver-auth=-2,-2")],
        &[],
        Error(CARGO, "descriptor 8 is not open"),
    ),
    case(
        "one that is off is off",
        &[(CARGO, b"--jobserver-auth=-2,-2"), (MAKE, AUTH)],
        PIPE,
        Nothing,
    ),
    case(
        "the last word wins",
        &[(MAKE, b"--jobserver-auth=8,9 --jobserver-auth=3,4")],
        PIPE,
        Tokens(3),
    ),
    case(
        "the last word wins, off",
        &[(MAKE, b"--jobserver-auth=3,4 --jobserver-auth=-2,-2")],
        PIPE,
        Nothing,
    ),
    case(
        "the last word wins, on again",
        &[(MAKE, b"--jobserver-auth=-2,-2 --jobserver-auth=3,4")],
        PIPE,
        Tokens(3),
    ),
    case(
        "the last word wins, fifo",
        &[(MAKE, b"--jobserver-auth=3,4 --jobserver-auth=fifo:/tmp/f")],
        &[(At(3), Reader(3)), (At(4), Writer(3)), (Named(b"f"), Fifo(2))],
        Tokens(2),
    ),
    case("the old spelling", &[(MAKE, b" -j --jobserver-fds=3,4")], PIPE, Tokens(3)),
    case(
        "the last of the old spelling",
        &[(MAKE, b"--jobserver-fds=8,9 --jobserver-fds=3,4")],
        PIPE,
        Tokens(3),
    ),
    case(
        "the new spelling before the old",
        &[(MAKE, b"--jobserver-auth=3,4 --jobserver-fds=8,9")],
        PIPE,
        Tokens(3),
    ),
    case("a word that only ends so", &[(MAKE, b"x--jobserver-auth=3,4")], PIPE, Nothing),
    case(
        "a variable before `--`",
        &[(MAKE, b" V=--jobserver-auth=8,9 --jobserver-auth=3,4")],
        PIPE,
        Tokens(3),
    ),
    case("a word that only begins so", &[(MAKE, b"--jobserver-authority=3,4")], PIPE, Nothing),
    case("after `--`", &[(MAKE, b" -j4 -- --jobserver-auth=3,4")], PIPE, Nothing),
    case("an escaped blank is no end", &[(MAKE, b"V=a\\ --jobserver-auth=3,4")], PIPE, Nothing),
    case(
        "tabs and line ends part words",
        &[(MAKE, b"k\t-j4\n--jobserver-auth=3,4\n")],
        PIPE,
        Tokens(3),
    ),
    // What is off, and what is alone.
    case("off by one end", &[(MAKE, b"--jobserver-auth=3,-1")], PIPE, Nothing),
    case("a dry run by its own word", &[(MFLAGS, b"-n -j4 --jobserver-auth=3,4")], PIPE, Nothing),
    case(
        "a dry run among letters with a dash",
        &[(MFLAGS, b"-kn -j4 --jobserver-auth=3,4")],
        PIPE,
        Nothing,
    ),
    case(
        "an n in an option's argument",
        &[(MAKE, b" -Ilinux -j4 --jobserver-auth=3,4")],
        PIPE,
        Tokens(3),
    ),
    case(
        "an n in letters and then an argument",
        &[(MAKE, b"kIn -j4 --jobserver-auth=3,4")],
        PIPE,
        Tokens(3),
    ),
    case("an n in a variable", &[(MAKE, b"n=1 -j4 --jobserver-auth=3,4")], PIPE, Tokens(3)),
    case(
        "an n in a long option",
        &[(MAKE, b"--no-print-directory --jobserver-auth=3,4")],
        PIPE,
        Tokens(3),
    ),
    case("an n in a later word", &[(MAKE, b"k n --jobserver-auth=3,4")], PIPE, Tokens(3)),
    case("a dry run of a broken jobserver", &[(MAKE, b"n --jobserver-auth=8,9")], &[], Nothing),
    case("-j1 in two words", &[(MAKE, b"-j 1")], &[], ALONE),
    case("-j1 among letters", &[(MAKE, b"kj1")], &[], ALONE),
    case("-j1 in MFLAGS alone", &[(MFLAGS, b"-j1")], &[], ALONE),
    case("-j1 in CARGO_MAKEFLAGS", &[(CARGO, b"-j1")], &[], ALONE),
    case("-j 4 in two words", &[(MAKE, b"-j 4")], &[], Nothing),
    case("the last -j", &[(MAKE, b"-j4 -j1")], &[], ALONE),
    case("the last -j, without end", &[(MAKE, b"-j1 -j")], &[], Nothing),
    case("-j1 with a jobserver", &[(MAKE, b" -j1 --jobserver-auth=3,4")], PIPE, Tokens(3)),
    case(
        "-j1 with a jobserver that is off",
        &[(MAKE, b" -j1 --jobserver-auth=-2,-2")],
        &[],
        Nothing,
    ),
    case("-j10", &[(MAKE, b" -j10")], &[], Nothing),
    case("-j1 after `--`", &[(MAKE, b" -- -j1")], &[], Nothing),
    // What names nothing.
    case("no address", &[(MAKE, b"--jobserver-auth=")], PIPE, Error(MAKE, "expected `R,W`")),
    case("one number", &[(MAKE, b"--jobserver-auth=3")], PIPE, Error(MAKE, "found `3`")),
    case("three numbers", &[(MAKE, b"--jobserver-auth=3,4,5")], PIPE, Error(MAKE, "`3,4,5`")),
    case("no number", &[(MAKE, b"--jobserver-auth=3,x")], PIPE, Error(MAKE, "found `3,x`")),
    case(
        "too large a number",
        &[(MAKE, b"--jobserver-auth=3,4294967300")],
        PIPE,
        Error(MAKE, "4294967300"),
    ),
    case(
        "a semaphore of Windows",
        &[(MAKE, b"--jobserver-auth=gmake_semaphore_77")],
        &[],
        Error(MAKE, "gmake_semaphore_77"),
    ),
    case(
        "bytes that are no text",
        &[(MAKE, b"--jobserver-auth=\xff,4")],
        PIPE,
        Error(MAKE, "`R,W`"),
    ),
    case("no fifo", &[(MAKE, b"--jobserver-auth=fifo:")], &[], Error(MAKE, "cannot open \"\"")),
    // What is no jobserver.
    case(
        "the second end closed",
        &[(MAKE, AUTH)],
        &[(At(3), Reader(3))],
        Error(MAKE, "descriptor 4 is not open"),
    ),
    case(
        "the largest number",
        &[(MAKE, b"--jobserver-auth=2147483647,4")],
        PIPE,
        Error(MAKE, "descriptor 2147483647 is not open"),
    ),
    case(
        "swapped ends",
        &[(MAKE, b"--jobserver-auth=4,3")],
        PIPE,
        Error(MAKE, "descriptor 4 cannot be read"),
    ),
    case(
        "two ends to read from",
        &[(MAKE, AUTH)],
        &[(At(3), Reader(3)), (At(4), Reader(3))],
        Error(MAKE, "descriptor 4 cannot be written"),
    ),
    case(
        "two ends to write to",
        &[(MAKE, AUTH)],
        &[(At(3), Writer(3)), (At(4), Writer(3))],
        Error(MAKE, "descriptor 3 cannot be read"),
    ),
    case(
        "two pipes",
        &[(MAKE, AUTH)],
        &[(At(3), Reader(3)), (At(4), Writer(2))],
        Error(MAKE, "descriptors 3 and 4 are of different pipes"),
    ),
    case("a file", &[(MAKE, AUTH)], &[(At(3), File), (At(4), File)], Error(MAKE, NO_PIPE)),
    case(
        "a file for the second",
        &[(MAKE, AUTH)],
        &[(At(3), Reader(3)), (At(4), File)],
        Error(MAKE, "descriptor 4 is a regular file"),
    ),
    case(
        "a directory",
        &[(MAKE, AUTH)],
        &[(At(3), Directory), (At(4), Directory)],
        Error(MAKE, "descriptor 3 is a directory"),
    ),
    case("/dev/null", &[(MAKE, AUTH)], &[(At(3), Null), (At(4), Null)], Error(MAKE, "a device")),
    case(
        "sockets",
        &[(MAKE, AUTH)],
        &[(At(3), Socket), (At(4), Socket)],
        Error(MAKE, "descriptor 3 is a socket"),
    ),
    case(
        "one fifo, open for both",
        &[(MAKE, b"--jobserver-auth=3,3")],
        &[(At(3), Fifo(2))],
        Tokens(2),
    ),
    case(
        "numbers of two digits",
        &[(MAKE, b"--jobserver-auth=77,278")],
        &[(At(77), Reader(1)), (At(278), Writer(1))],
        Tokens(1),
    ),
    case(
        "the descriptors of another pipe beside",
        &[(MAKE, AUTH)],
        &[(At(3), Reader(3)), (At(4), Writer(3)), (At(5), Writer(2))],
        Tokens(3),
    ),
    case(
        "a named file",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/f")],
        &[(Named(b"f"), File)],
        Error(MAKE, "is a regular file and cannot hold tokens"),
    ),
    case(
        "a link to a file",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/l")],
        &[(Named(b"f"), File), (Named(b"l"), Link("f"))],
        Error(MAKE, "is a regular file"),
    ),
    case(
        "a link to a fifo",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/l")],
        &[(Named(b"f"), Fifo(3)), (Named(b"l"), Link("f"))],
        Tokens(3),
    ),
    case(
        "a link to nothing",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/l")],
        &[(Named(b"l"), Link("f"))],
        Error(MAKE, "No such file"),
    ),
    case(
        "a named directory",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/d")],
        &[(Named(b"d"), Directory)],
        Error(MAKE, "is a directory"),
    ),
    case(
        "a named socket",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/s")],
        &[(Named(b"s"), Socket)],
        Error(MAKE, "is a socket and cannot be opened"),
    ),
    case(
        "a device that nobody can wait for",
        &[(MAKE, b"--jobserver-auth=fifo:/dev/null")],
        &[],
        Error(MAKE, "cannot wait for \"/dev/null\""),
    ),
    case(
        "a path below a file",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/f/g")],
        &[(Named(b"f"), File)],
        Error(MAKE, "Not a directory"),
    ),
    case(
        "a fifo with no token",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/f")],
        &[(Named(b"f"), Fifo(0))],
        Tokens(0),
    ),
    case(
        "a fifo after the old spelling",
        &[(CARGO, b"--jobserver-fds=fifo:/tmp/f")],
        &[(Named(b"f"), Fifo(2))],
        Tokens(2),
    ),
    case(
        "a backslash at the end",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/f\\")],
        &[(Named(b"f\\"), Fifo(2))],
        Tokens(2),
    ),
    case(
        "two dollars in MAKEFLAGS",
        &[(MAKE, b"--jobserver-auth=fifo:/tmp/$$f")],
        &[(Named(b"$f"), Fifo(1)), (Named(b"$$f"), Fifo(2))],
        Tokens(2),
    ),
];
