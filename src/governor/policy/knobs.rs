//! The durations the policy goes by, each with the reason for its value.
//!
//! Rows are those of `benches/compare` and the other benches; `benches/tune` tells what they cost with
//! half and with twice the value, and `BENCHMARKS.md` shows it.

pub(crate) use super::lease::Pace;

/// Nanoseconds since the pool was built: the policy's only notion of time.
pub(crate) type Nanos = u64;

const MICROSECOND: Nanos = 1_000;
const MILLISECOND: Nanos = 1_000 * MICROSECOND;

/// Durations in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knobs {
    /// How long a probe must lie untaken at least before every admitted worker counts as busy. An awake
    /// idle worker takes it within a few microseconds, one asleep in rayon within about 30, where nothing
    /// else runs: the prototype's value, which no row moves clearly at half or twice of it. Where they take
    /// longer the policy learns it.
    pub(crate) tau: Nanos,
    /// How long a pool must have been slack before it gives up a token that others may want:
    /// with no call known to be under way, and within one, where a serial phase may end any time.
    /// The first is what 2 ms from the last job to all tokens back leave room for (`latency`), and
    /// how close calls must be to make a loop; it grows to 2.5 times this, or 4 times where calls are not
    /// announced, while nobody wants what goes back, and is a quarter of this where others keep taking it. The
    /// second doubles, too, and rows of phases with 3 ms of serial work are as fast with it as with 5 ms, while
    /// four processes of unlike phases took 1.15 times as long as perfect packing with 5 ms, and 1.11 times with it.
    pub(crate) patience: (Nanos, Nanos),
    /// How long idle tokens may be kept while nobody else wants one: all are back within 50 ms of the
    /// last job (`latency`), and phases with 3 ms of serial work keep theirs.
    pub(crate) hold: Nanos,
    /// How long after giving a token back the policy looks whether somebody took it: several times
    /// what a waiting process takes to wake (`latency`: 0.06 to 0.14 ms to a job on it, by the machine).
    pub(crate) canary: Nanos,
    /// How long the workers are watched for activity before tokens go back within a call. Long
    /// enough for a wide phase or two of a loop of phases, and below what [`Judged`] goes by.
    ///
    /// [`Judged`]: super::Judged
    pub(crate) window: Nanos,
    /// First and longest pause after an added worker found nothing to do. The longest is how late a
    /// wide phase may begin after a long serial one: set by two processes of unlike phases, which
    /// took 1.14 times as long as perfect packing with 8 ms, and 1.11 times with 4 and with 2.
    pub(crate) backoff: (Nanos, Nanos),
    /// Bounds of the pause between two looks of a parked nested worker at its latch: the prototype's.
    /// `random` checks them: no fork-join program may be slower by 20 ms than on one thread.
    pub(crate) recheck: (Nanos, Nanos),
    /// First and longest pause between two looks for saturation while some workers are idle and others parked: at
    /// their clocks within an announced call, where no probe is posted more often than every longest pause
    /// as long as one of them runs at most, else by a probe.
    pub(crate) look: (Nanos, Nanos),
    /// First and longest beat at which a lookout is watched for calls that nobody announced. The
    /// longest leaves a bare `broadcast` time to be swept within 20 ms, and an idle global pool
    /// below 60 context switches a second.
    pub(crate) beat: (Nanos, Nanos),
    /// How long a pool must have been slack before the parked workers get a turn each. Fifty times
    /// that is how often they get one beside a stream of calls. Without sweeps 2,000 sections of 100 µs
    /// on 2 of 16 workers were faster by a few hundredths, hardly more than noise.
    pub(crate) sweep: Nanos,
    /// Sweeps of a slack pool beyond the first, each after twice as long a pause.
    pub(crate) resweeps: u32,
    /// How long after a probe the lookout is asleep again: several times what it takes it to find nothing in
    /// rayon, or the probe itself would pass for a call. With more than 16 workers as long as that takes at most.
    pub(crate) settle: Nanos,
    /// How often a busy pool offers tokens to others, if it may. The bench `share` checks what comes of it.
    pub(crate) lease: Option<Pace>,
    /// How long a busy worker must have slept to count as blocked. It is looked for at half that
    /// pace where there is a suspect, else up to twenty times as slowly, so that a pool that
    /// computes is woken ten times a second.
    pub(crate) detect: Option<Nanos>,
    /// How long a worker that has blocked waits for a fund where no other can be seen to block.
    pub(crate) forbearance: Nanos,
    /// Beats without activity between two turns of a parked worker, the net under the sweeps: a
    /// lookout that blocks in a job nobody announced is found out within three seconds.
    pub(crate) rotation: u32,
}

impl Knobs {
    /// The longest pause between two looks of a pool in which nothing changes: ten beats where `anchored` does not say
    /// that calls come unannounced. With as many trials the governor of a pool with one long job wakes 16 times
    /// a second (`latency -- busy`).
    pub(crate) fn rarest(&self, anchored: bool) -> Nanos {
        if anchored { self.beat.1 } else { 10 * self.beat.1 }
    }
}

impl Default for Knobs {
    fn default() -> Self {
        Knobs {
            tau: 50 * MICROSECOND,
            patience: (MILLISECOND / 2, 2 * MILLISECOND + MILLISECOND / 2),
            hold: 20 * MILLISECOND,
            canary: 150 * MICROSECOND,
            window: MILLISECOND + MILLISECOND / 2,
            backoff: (200 * MICROSECOND, 4 * MILLISECOND),
            recheck: (50 * MICROSECOND, 4 * MILLISECOND),
            look: (500 * MICROSECOND, 4 * MILLISECOND),
            beat: (MILLISECOND, 18 * MILLISECOND + MILLISECOND / 2),
            sweep: 2 * MILLISECOND,
            resweeps: 8,
            settle: 200 * MICROSECOND,
            lease: Some(Pace {
                term: 100 * MILLISECOND,
                pause: (10 * MILLISECOND, 400 * MILLISECOND),
                offer: 2 * MILLISECOND,
                gives: true,
            }),
            detect: Some(10 * MILLISECOND),
            forbearance: 100 * MILLISECOND,
            rotation: 128,
        }
    }
}

/// For the bench that shows what each duration is worth (`--cfg tuning`).
#[cfg(tuning)]
impl Knobs {
    /// Every duration by its name.
    pub(crate) fn named(&mut self) -> Vec<(&'static str, &mut Nanos)> {
        let Knobs {
            tau,
            patience: (patience_without, patience_within),
            hold,
            canary,
            window,
            backoff: (backoff_first, backoff_longest),
            recheck: (recheck_least, recheck_most),
            look: (look_first, look_longest),
            beat: (beat_first, beat_longest),
            sweep,
            resweeps: _,
            settle,
            lease,
            detect,
            forbearance,
            rotation: _,
        } = self;
        let mut named = vec![
            ("tau", tau),
            ("patience_without", patience_without),
            ("patience_within", patience_within),
            ("hold", hold),
            ("canary", canary),
            ("window", window),
            ("backoff_first", backoff_first),
            ("backoff_longest", backoff_longest),
            ("recheck_least", recheck_least),
            ("recheck_most", recheck_most),
            ("look_first", look_first),
            ("look_longest", look_longest),
            ("beat_first", beat_first),
            ("beat_longest", beat_longest),
            ("sweep", sweep),
            ("settle", settle),
            ("forbearance", forbearance),
        ];
        if let Some(detect) = detect {
            named.push(("detect", detect));
        }
        if let Some(Pace { term, pause: (pause_least, pause_most), offer, gives: _ }) = lease {
            named.push(("term", term));
            named.push(("pause_least", pause_least));
            named.push(("pause_most", pause_most));
            named.push(("offer", offer));
        }
        named
    }
}
