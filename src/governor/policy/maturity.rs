//! How long a probe must lie untaken before nobody counts as idle.

use super::Nanos;

/// The longest time is so many times the shortest. What lies untaken for longer did not wait for an idle
/// worker to wake.
const MOST: Nanos = 8;

/// Learns how soon idle workers take a probe on this machine at this time: on a crowded one, or one that
/// is itself a guest, each wake-up may take several times as long as elsewhere.
#[derive(Debug)]
pub(crate) struct Maturity {
    least: Nanos,
    tau: Nanos,
}

impl Maturity {
    pub(crate) fn new(least: Nanos) -> Self {
        Maturity { least, tau: least }
    }

    /// How long a probe must lie.
    pub(crate) fn tau(&self) -> Nanos {
        self.tau
    }

    /// A worker that was idle took a probe that had `lain` so long.
    pub(crate) fn taken_idle(&mut self, lain: Nanos) {
        if lain > MOST * self.least {
            return;
        }
        if lain >= self.tau {
            self.tau = (2 * lain).min(MOST * self.least);
        } else if 2 * lain <= self.tau {
            self.tau = (self.tau - self.tau / 8).max(self.least);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_follows_how_late_idle_workers_are() {
        let mut maturity = Maturity::new(50);
        let mut after = |lain| {
            maturity.taken_idle(lain);
            maturity.tau()
        };
        assert_eq!([after(30), after(49), after(70)], [50, 50, 140], "one was later");
        assert_eq!([after(90), after(20), after(20)], [140, 123, 108], "others were not");
        assert_eq!([after(300), after(401)], [400, 400], "there is a longest; that one was busy");
        let settled = (0..20).map(|_| after(20)).fold(0, |_, tau| tau);
        assert_eq!(settled, 50);
    }
}
