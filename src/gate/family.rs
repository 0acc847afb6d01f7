//! What the child processes of a worker do. A worker that waits for a child that computes has passed its core on to it,
//! and its fund, too: the child needs no second token, and nobody else may have the first.

use crate::governor::policy::Nanos;

/// The child processes of one thread, and theirs.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// When it was last looked at, and what its members had used of a core by then.
    seen: Option<(Nanos, Nanos)>,
}

/// What a family does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doings {
    /// It has not been looked at before.
    Unknown,
    Works,
    Rests,
}

/// What there is of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kin {
    /// What the living members have used of a core.
    cpu: Nanos,
    /// One of them has a core or waits for one.
    ready: bool,
}

/// A family that uses less than one part in this many of a core rests: a member may wake now and then.
const PART: Nanos = 16;

impl Family {
    /// Looks at the members after a while.
    pub(super) fn look(&mut self, now: Nanos, kin: Kin) -> Doings {
        match self.seen.replace((now, kin.cpu)) {
            _ if kin.ready => Doings::Works,
            None => Doings::Unknown,
            // A member that has ended no longer counts, nor what it had used.
            Some((_, before)) if kin.cpu < before => Doings::Works,
            Some((at, before)) if PART * (kin.cpu - before) >= now - at => Doings::Works,
            Some(_) => Doings::Rests,
        }
    }

    /// Its thread has run meanwhile, and may have others.
    pub(super) fn forget(&mut self) {
        self.seen = None;
    }
}

#[cfg(target_os = "linux")]
pub(super) use system::of;

#[cfg(target_os = "linux")]
mod system {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{Kin, Nanos};
    use crate::gate::clock::{read, state};

    /// At most so many processes are looked at, and so many threads for their children. Each takes some 10 µs, for
    /// which the governor is kept waiting.
    const MOST: usize = 32;
    const THREADS: usize = 64;

    /// The family of a thread, from its folder in `/proc`; `None`: it has no children, or the kernel does not tell
    /// (without `CONFIG_PROC_CHILDREN`).
    pub(in crate::gate) fn of(thread: &Path) -> Option<Kin> {
        let kin = members(thread).into_iter().map(|member| Kin {
            cpu: used(member).unwrap_or(0),
            ready: state(&PathBuf::from(format!("/proc/{member}/stat"))) == Some(b'R'),
        });
        kin.reduce(|one, other| Kin { cpu: one.cpu + other.cpu, ready: one.ready || other.ready })
    }

    /// The nearest, and of those who are as near the youngest: they are waited for most likely.
    pub(super) fn members(thread: &Path) -> Vec<libc::pid_t> {
        let (mut members, mut known, mut threads) = (children(thread), 0, 0);
        while let Some(&member) = members.get(known).filter(|_| members.len() < MOST) {
            known += 1;
            let tasks =
                fs::read_dir(format!("/proc/{member}/task")).into_iter().flatten().flatten();
            for task in tasks.take(THREADS - threads) {
                threads += 1;
                members.extend(children(&task.path()));
            }
        }
        members.truncate(MOST);
        members
    }

    /// The processes that a thread has started, and that have not been waited for, the youngest first.
    fn children(thread: &Path) -> Vec<libc::pid_t> {
        let told = fs::read_to_string(thread.join("children")).unwrap_or_default();
        told.split_whitespace().rev().filter_map(|pid| pid.parse().ok()).collect()
    }

    /// What all threads of a process have used of a core.
    fn used(process: libc::pid_t) -> Option<Nanos> {
        let mut clock = 0;
        // SAFETY: the pointer is valid for writes; a process that has ended is refused.
        if unsafe { libc::clock_getcpuclockid(process, &raw mut clock) } != 0 {
            return None;
        }
        Nanos::try_from(read(clock)?.as_nanos()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_works_if_one_is_ready_or_it_uses_a_part_of_a_core() {
        let mut family = Family::default();
        let kin = |cpu, ready| Kin { cpu, ready };
        assert_eq!(family.look(0, kin(500, false)), Doings::Unknown);
        assert_eq!(family.look(160, kin(509, false)), Doings::Rests);
        assert_eq!(family.look(320, kin(519, false)), Doings::Works);
        assert_eq!(family.look(480, kin(519, true)), Doings::Works, "it waits for a core");
        assert_eq!(family.look(640, kin(519, false)), Doings::Rests);
        assert_eq!(family.look(800, kin(400, false)), Doings::Works, "one has ended");
        family.forget();
        assert_eq!(family.look(960, kin(400, false)), Doings::Unknown);
    }

    /// As of a program that does not wait for those that have ended. Each look took 40 ms once of 2,000, with the
    /// governor's lock held.
    #[cfg(target_os = "linux")]
    #[test]
    fn of_very_many_children_the_youngest_are_looked_at() {
        use std::process::{Command, Stdio};

        let me = std::path::PathBuf::from("/proc/thread-self");
        let sleep = |_| Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let all: Vec<_> = (0..40).map(|child| sleep(child).expect("there is a cat")).collect();
        let youngest: Vec<_> = all.iter().rev().map(|child| child.id().cast_signed()).collect();
        let members = system::members(&me);
        assert!(members.len() < youngest.len(), "{} are too many", members.len());
        assert!(youngest.starts_with(&members), "{youngest:?} and {members:?}");
        for mut child in all {
            child.wait().expect("its input has ended, and so does it");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn children_that_compute_are_told_from_those_that_sleep_though_they_be_grandchildren() {
        use std::process::{Command, Stdio};

        let me = std::path::PathBuf::from("/proc/thread-self");
        assert_eq!(of(&me), None, "no children");
        let run = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]).stdin(Stdio::piped()).spawn().expect("there is a shell")
        };
        // The inner one ends with its input.
        let mut computing = run("sh -c 'while :; do :; done' & read line; kill $!");
        while !of(&me).is_some_and(|kin| kin.ready && kin.cpu > 100_000_000) {
            std::thread::yield_now();
        }
        drop(computing.stdin.take());
        computing.wait().expect("it is a child of this thread");
        let mut sleeping = run("read line");
        let (mut family, mut now) = (Family::default(), 0);
        // Once it has come up.
        while of(&me).is_none_or(|kin| {
            now += 1_000_000_000;
            family.look(now, kin) != Doings::Rests
        }) {
            std::thread::yield_now();
        }
        drop(sleeping.stdin.take());
        sleeping.wait().expect("it is a child of this thread");
    }
}
