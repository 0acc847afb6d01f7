//! Which work is measured, in which shapes.

use std::time::Duration;

use crate::leaf::Leaf;
use crate::work::{Kind, Work};

/// Workers and tokens.
type Shape = (usize, usize);

/// Some work, its shapes, and the rounds that give steady medians.
pub(crate) struct Plan {
    pub(crate) work: Work,
    pub(crate) shapes: &'static [Shape],
    pub(crate) rounds: usize,
}

/// Leaves that compute have two cores on the smallest machine worth measuring on.
const TWO_CORES: &[Shape] = &[(2, 1), (16, 1)];

/// Leaves that sleep have as many cores as they like.
const VIRTUAL: &[Shape] = &[(16, 15), (64, 63), (16, 1), (16, 3), (64, 7), (256, 31)];

/// With a single token nothing can be added later.
const GROWING: &[Shape] = &[(16, 15), (64, 63), (16, 3), (64, 7), (256, 31)];

/// A token for each worker, of which everyone has a copy: with fewer, stock rayon of fewer threads has fewer copies.
const PAIR: &[Shape] = &[(2, 1)];
const EACH: &[Shape] = &[(16, 15), (64, 63)];

/// Each run takes seconds.
const LONG_IDLE: &[Shape] = &[(16, 15), (16, 3)];

/// Rounds of runs whose times the machine scatters: two threads that call each other every few
/// microseconds may find themselves on two cores or on one, and the same program takes one time or twice that.
/// With 60 of them stock rayon beside itself was at 0.95 to 1.22.
const MANY: usize = 300;

/// The same for a loop ten times as long, in which the first milliseconds after the warm-up count for less.
const STEADY: usize = 80;

/// Rounds of parsing, which takes one of two times by run, a third apart, on every pool.
const TWOFOLD: usize = 40;

/// Rounds of runs that take tens of milliseconds, of longer ones, and of those that take seconds.
const SHORT: usize = 15;
const LONG: usize = 9;
const FEW: usize = 7;

const NONE: Duration = Duration::ZERO;

const fn us(time: u64) -> Duration {
    Duration::from_micros(time)
}

const fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

pub(crate) fn all() -> Vec<Plan> {
    let join = |sections, leaves, time| Kind::Join { sections, leaves, time };
    let sections = |sections, time, gap| Kind::Sections { sections, time, gap };
    let phases = |phases, serial, leaves, time| Kind::Phases { phases, serial, leaves, time };
    let tail = |tail, leaves, time| Kind::Tail { tail, leaves, time };
    let scopes = |scopes, spawns, time| Kind::Scopes { scopes, spawns, time };
    let idle = |pause, leaves, time| Kind::Idle { pause, leaves, time };
    let computing = [
        (join(100, 8, us(25)), SHORT),
        (join(20, 32, us(31)), SHORT),
        (join(6, 128, us(39)), SHORT),
        (join(2, 512, us(39)), SHORT),
        (join(1, 1024, us(146)), LONG),
        (Kind::Sort { numbers: 4_000_000 }, LONG),
        (Kind::Reduce { numbers: 4_000_000, times: 4 }, SHORT),
        // Of 16 and 200 microseconds and of 1 ms of work, by two.
        (sections(1_000, us(8), NONE), MANY),
        (sections(10_000, us(8), NONE), STEADY),
        (sections(1_000, us(8), us(16)), SHORT),
        (sections(200, us(100), NONE), MANY),
        (sections(100, us(100), us(200)), SHORT),
        (sections(50, us(500), NONE), SHORT),
        (sections(20, us(500), ms(1)), SHORT),
        (phases(50, us(300), 32, us(20)), SHORT),
        (phases(100, us(200), 8, us(25)), SHORT),
        (phases(8, ms(3), 16, us(125)), SHORT),
        (tail(ms(20), 400, us(50)), SHORT),
        (scopes(20, 64, us(25)), SHORT),
        (Kind::Hash, LONG),
        (Kind::Parse, TWOFOLD),
        (idle(ms(200), 40, us(50)), SHORT),
    ];
    let sleeping = [
        (join(50, 1, us(200)), SHORT),
        (join(2, 16, us(600)), SHORT),
        (join(1, 64, us(2_300)), LONG),
        (sections(20, ms(1), NONE), SHORT),
        (sections(20, ms(1), ms(1)), SHORT),
        (phases(60, us(200), 1, us(200)), SHORT),
        (phases(20, ms(1), 1, ms(1)), SHORT),
        (phases(10, ms(3), 2, ms(1)), SHORT),
        (tail(ms(20), 20, us(500)), SHORT),
        (scopes(4, 8, ms(1)), SHORT),
        (idle(ms(200), 2, ms(1)), SHORT),
    ];
    let plan = |leaf, shapes, (kind, rounds)| Plan { work: Work { kind, leaf }, shapes, rounds };
    let computing = computing.into_iter().map(|row| plan(Leaf::Compute, TWO_CORES, row));
    let sleeping = sleeping.into_iter().map(|row| plan(Leaf::Sleep, VIRTUAL, row));
    let broadcasts = Kind::Broadcasts { times: 50, time: us(150) };
    let broadcasts = [(Leaf::Compute, PAIR), (Leaf::Sleep, EACH)]
        .map(|(leaf, shapes)| plan(leaf, shapes, (broadcasts.clone(), SHORT)));
    let growing = Kind::Growing { leaves: 60, time: ms(1) };
    let growing = plan(Leaf::Sleep, GROWING, (growing, LONG));
    // The pauses between two looks at an idle global pool have become the longest there are.
    let idle = (idle(ms(3_000), 2, ms(1)), FEW);
    let idle = plan(Leaf::Sleep, LONG_IDLE, idle);
    computing.chain(sleeping).chain(broadcasts).chain([growing, idle]).collect()
}
