//! Nothing that a test waits for may last for ever.

use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Long enough for any test on any machine, and shorter than a person's patience.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

/// Runs `test` and fails if it does not end.
pub(crate) fn must_end<R: Send + 'static>(
    what: &str,
    test: impl FnOnce() -> R + Send + 'static,
) -> R {
    let (send, receive) = mpsc::channel();
    let runner = thread::spawn(move || send.send(test()).expect("the receiver waits"));
    match receive.recv_timeout(WATCHDOG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Disconnected) => match runner.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("the runner ended without a result"),
        },
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("{what} hangs"),
    }
}

/// Runs a program, and fails if it or something that it has started and that has its output does not end.
pub(crate) fn output_of(mut command: Command) -> Output {
    let what = format!("{command:?}");
    let output = must_end(&what, move || command.output());
    output.unwrap_or_else(|error| panic!("{what}: {error}"))
}
