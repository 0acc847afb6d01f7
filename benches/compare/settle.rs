//! Lets one contender come to rest before the next one runs.

use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Waits until no pool of the process has anything left to do.
///
/// A run ends when its work is done, but workers that were woken for it may go on looking for more,
/// hundreds of them for tens of milliseconds, and whoever came next would pay for that. It also
/// makes the pause the same for all: each contender meets the same cold machine.
pub(crate) fn settle() {
    const PAUSE: Duration = Duration::from_millis(2);
    for _ in 0..100 {
        let before = used();
        thread::sleep(PAUSE);
        if used() - before < PAUSE / 10 {
            return;
        }
    }
}

/// Time of cores that the process has used.
fn used() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}
