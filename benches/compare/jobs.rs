//! The jobs of one run, counted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::leaf::Leaf;

/// Leaves of one run, and the most of them at once.
#[derive(Debug)]
pub(crate) struct Jobs {
    leaf: Leaf,
    running: AtomicUsize,
    peak: AtomicUsize,
}

impl Jobs {
    pub(crate) fn new(leaf: Leaf) -> Self {
        Jobs { leaf, running: AtomicUsize::new(0), peak: AtomicUsize::new(0) }
    }

    /// Runs one. Only sleeping ones are counted: beside their length that costs nothing.
    pub(crate) fn run(&self, time: Duration) {
        if self.leaf == Leaf::Compute {
            return self.leaf.run(time);
        }
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(running, Ordering::SeqCst);
        self.leaf.run(time);
        self.running.fetch_sub(1, Ordering::SeqCst);
    }

    /// The serial part of something: nobody else is to run meanwhile, and it is not counted.
    pub(crate) fn run_alone(&self, time: Duration) {
        self.leaf.run_alone(time);
    }

    pub(crate) fn peak(&self) -> Option<usize> {
        (self.leaf == Leaf::Sleep).then(|| self.peak.load(Ordering::SeqCst))
    }
}
