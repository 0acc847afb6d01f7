//! The thread that built the pool and was a worker of it, once the pool is dropped.

use super::presence::Presence;
use super::{Nanos, Orders, Policy, Verdict, Wake};

/// That thread's number among the workers.
const BUILDER: usize = 0;

/// What is known of it.
#[derive(Debug, Default)]
pub(super) struct Departure {
    /// So many probes are to be taken until somebody has looked for what it may have left behind.
    bereft: usize,
    /// It is parked in a wait of its own, until then.
    look_at: Option<Nanos>,
    /// How long it was at the last time.
    pause: Nanos,
}

impl Departure {
    /// When it is to look at what it waits for.
    pub(super) fn due(&self) -> Option<Nanos> {
        self.look_at
    }

    /// Whether nobody has yet looked for what it has left behind.
    pub(super) fn is_fresh(&self) -> bool {
        self.bereft > 0
    }

    /// A worker has taken a probe, and so found nothing else.
    pub(super) fn searched(&mut self) {
        self.bereft = self.bereft.saturating_sub(1);
    }
}

impl Policy {
    /// The thread that built the pool, as long as it is a worker: it runs whatever it likes, and nothing tells whether
    /// that is a job.
    pub(super) fn stranger(&self) -> Option<usize> {
        self.adopted.then_some(BUILDER)
    }

    /// The pool was dropped, which is all that the thread had to do with it: it may never come to a probe again.
    pub(super) fn dismiss_builder(&mut self, now: Nanos, out: &mut Orders) {
        // Whoever takes a probe that lies there already may have looked before.
        self.departure.bereft = if self.workers > 1 { self.probes + 1 } else { 0 };
        // Whoever drops the pool may be another thread.
        self.end_turn_of(now, BUILDER);
        let admitted = self.roster.is_outside(BUILDER);
        let comes_back = self.absences.recall(BUILDER);
        let parked = self.roster.take_this(BUILDER);
        if comes_back || parked {
            // Funded, it would be so for as long as it likes.
            self.tally.overcommits += 1;
            out.wake.push((BUILDER, Wake::Loose));
        }
        self.absences.set(BUILDER, Presence::Gone);
        if admitted || parked {
            self.roster.step(BUILDER);
        }
        if admitted {
            self.free(now, out);
        }
    }

    /// The thread waits for jobs once more, and took a probe that tells nothing of those who are funded. Were it
    /// to go on it would take them all, for it is the first whom rayon wakes. It looks at what it waits for now
    /// and then, without a fund.
    pub(super) fn linger(&mut self, now: Nanos, out: &mut Orders) -> Verdict {
        if self.ended {
            return Verdict::Stay;
        }
        let (least, most) = self.knobs.recheck;
        self.departure.pause = (self.departure.pause * 2).clamp(least, most);
        self.departure.look_at = Some(now + self.departure.pause);
        self.call_idle(now, out);
        Verdict::Park
    }

    /// Lets it look.
    pub(super) fn tend_builder(&mut self, now: Nanos, out: &mut Orders) {
        if self.departure.look_at.is_some_and(|at| at <= now) {
            self.let_builder_go(Wake::Loose, out);
        }
    }

    pub(super) fn let_builder_go(&mut self, why: Wake, out: &mut Orders) {
        if self.departure.look_at.take().is_some() {
            out.wake.push((BUILDER, why));
        }
    }

    /// When the next probe is due that tells whether the thread has left nothing behind.
    pub(super) fn bereft_until(&self) -> Option<Nanos> {
        let waits = self.departure.is_fresh() && self.sweep.in_turn.is_none();
        waits.then(|| self.last_post + self.knobs.look.0)
    }
}
