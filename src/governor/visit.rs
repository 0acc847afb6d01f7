//! What the governor is told of calls while they are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Governor;

impl Governor {
    /// Notes that a call or job from outside begins; it ends when the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> Visit {
        self.step(|policy, now, _, orders| policy.enter(now, orders));
        Visit { governor: Arc::clone(self) }
    }

    /// For a job of which every worker is given a copy.
    pub(crate) fn announcement(self: &Arc<Self>) -> Announcement {
        Announcement { governor: Arc::clone(self), made: AtomicBool::new(false) }
    }
}

/// A call or job from outside that is under way.
#[derive(Debug)]
pub(crate) struct Visit {
    governor: Arc<Governor>,
}

impl Visit {
    /// For a call that every worker is given a copy of.
    pub(crate) fn announcement(&self) -> Announcement {
        self.governor.announcement()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // Forked by the job that is under way, the child has no pool to leave.
        if self.governor.home.is_here() {
            self.governor.step(|policy, now, _, orders| policy.leave(now, orders));
        }
    }
}

/// Tells the governor of a broadcast when its first copy runs: by then the other workers have theirs, and a
/// parked one that is let look finds it. Or nearly all have: rayon hands them out one after another, and one that
/// looks too soon does so again with the next sweep.
#[derive(Debug)]
pub(crate) struct Announcement {
    governor: Arc<Governor>,
    made: AtomicBool,
}

impl Announcement {
    /// Called by every copy.
    pub(crate) fn make(&self) {
        // The copy of a worker in a forked child comes to the copies of what lies there.
        if self.governor.home.is_here() && !self.made.swap(true, Ordering::Relaxed) {
            self.governor.step(|policy, now, _, orders| policy.broadcast(now, orders));
        }
    }
}
