//! What the workers tell, each on its own thread, and where they wait to be admitted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Governor;
use super::policy::{Sighting, Verdict, Wake};
use crate::blocking;
use crate::gate::activity::Past;
use crate::gate::depth::{self, Attendant, Errand};
use crate::gate::run_own_jobs;

impl Governor {
    /// Blocks the current worker until it is admitted.
    pub(super) fn park(&self, worker: usize) {
        loop {
            match self.parkers[worker].wait() {
                Wake::Work => {
                    self.seats[worker].resume_self(self.now());
                    self.step(|policy, now, _, _| policy.resumed(now));
                    return;
                }
                Wake::Leave | Wake::Loose => return,
                Wake::Turn => {
                    let ran = run_own_jobs();
                    if !self.home.is_here() {
                        // One of them has forked.
                        return;
                    }
                    let verdict = self.step(|policy, now, purse, orders| {
                        policy.turned(now, purse.market(), worker, ran, orders)
                    });
                    if verdict == Verdict::Stay {
                        // The sleeps between the turns are no jobs.
                        self.seats[worker].resume_self(self.now());
                        return;
                    }
                }
            }
        }
    }
}

impl Attendant for Governor {
    fn worker_started(self: Arc<Self>, index: usize) {
        self.seats[index].occupy(self.now());
        if let Some(hook) = &self.start_hook {
            hook(index);
        }
        // Before it parks: it already runs jobs in its turns, and they may block. After the program's own handler,
        // during which it has nothing that it could give up.
        blocking::settle(&self, index);
        let brings_jobs = rayon_core::current_thread_has_pending_tasks() == Some(true);
        self.rule(index, |policy, now, _, _| {
            if brings_jobs {
                policy.brings_jobs(now);
            }
            policy.started(now, index)
        });
    }

    fn probe_taken(&self, depth: Option<usize>, moved: bool) {
        if !self.home.is_here() {
            // The copy of a worker in a forked child, which has come to the copy of an errand.
            return;
        }
        let worker = rayon_core::current_thread_index().expect("only workers run jobs");
        let (now, seat) = (self.now(), &self.seats[worker]);
        let lain = now.saturating_sub(self.posted.load(Ordering::Relaxed));
        let nested = depth::is_nested(Errand::Probe, depth);
        let Past { judged, late, slept_at } = seat.judge_self(now, self.seats.len(), lain);
        if let Some(place) = slept_at.filter(|_| !nested) {
            self.berth.lock().learn(place);
        }
        let sighting = Sighting { worker, nested, moved, judged, late };
        self.rule(worker, |policy, now, purse, orders| {
            policy.taken(now, purse.market(), sighting, orders)
        });
    }

    fn summoned(&self, depth: Option<usize>) {
        if !self.home.is_here() {
            // The copy of a worker in a forked child, which has come to the copy of an errand.
            return;
        }
        let worker = rayon_core::current_thread_index().expect("only workers run jobs");
        let nested = depth::is_nested(Errand::Summons, depth);
        self.rule(worker, |policy, now, _, orders| policy.summoned(now, worker, nested, orders));
    }
}
