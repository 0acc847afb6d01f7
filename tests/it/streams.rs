//! A program that has closed its standard streams.

use std::fs;
use std::process::Command;

use rayon_jobserver::{Jobserver, ThreadPoolBuilder};

use crate::process::in_own_process;

/// Once the first free number was that of a standard stream, and what the program printed were tokens.
#[test]
fn the_jobserver_takes_no_number_of_a_standard_stream() {
    in_own_process("streams::the_jobserver_takes_no_number_of_a_standard_stream", &[], || {
        // SAFETY: nobody reads from it in this process, nor owns the descriptor.
        assert_eq!(unsafe { libc::close(0) }, 0);
        let jobserver = Jobserver::new(2);
        let mut child = Command::new("true");
        jobserver.configure(&mut child).expect("there is room for two");
        let (_, flags) =
            child.get_envs().find(|(name, _)| *name == "CARGO_MAKEFLAGS").expect("it is");
        let flags = flags.and_then(|flags| flags.to_str()).expect("numbers");
        let (_, ends) = flags.rsplit_once('=').expect("an option with a value");
        let ends: Vec<u32> = ends.split(',').map(|end| end.parse().expect("a number")).collect();
        assert!(ends.len() == 2 && ends.iter().all(|&end| end > 2), "{flags}");
        let builder = ThreadPoolBuilder::new().num_threads(3).jobserver(jobserver);
        assert_eq!(builder.build().expect("three workers").join(|| 1, || 2), (1, 2));
        if let Ok(first) = fs::read_link("/proc/self/fd/0") {
            assert!(!first.to_string_lossy().starts_with("pipe:"), "{first:?}");
        }
    });
}
