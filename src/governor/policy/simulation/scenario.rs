//! Random worlds.

use super::blocking::Lock;
use super::caller::Act;
use super::dice::{Dice, Weather};
use super::laws::Laws;
use super::program::{self, Code, Op, Taste};
use super::world::World;
use super::{MICROSECOND, MILLISECOND, Nanos, SECOND};
use crate::governor::policy::{Knobs, Pace};

/// A world, and how long its jobs take one after another.
pub(super) struct Scenario {
    pub(super) world: World,
    pub(super) work: Nanos,
}

/// A world with everything in it decided by `seed`.
pub(super) fn random(seed: u64) -> Scenario {
    world(seed, Kind { blocks: false, lulls: false })
}

/// The same, with workers that block.
pub(super) fn blocking(seed: u64) -> Scenario {
    world(seed, Kind { blocks: true, lulls: false })
}

/// The same, with jobs so long that lulls come.
pub(super) fn lulled(seed: u64) -> Scenario {
    world(seed, Kind { blocks: seed.is_multiple_of(4), lulls: true })
}

#[derive(Clone, Copy, Debug)]
struct Kind {
    blocks: bool,
    lulls: bool,
}

fn world(seed: u64, kind: Kind) -> Scenario {
    let Kind { blocks, lulls } = kind;
    let mut dice = Dice::new(seed);
    let weather = Weather::random(&mut dice);
    let tokens = dice.pick(&[0, 1, 1, 2, 3, 5, 8]);
    let mut world = World::new(dice.next(), tokens, weather);
    world.tells = dice.percent(85);
    world.timers = world.tells || dice.percent(50);
    let laws = Laws::all(weather, Knobs::default());
    let laws = if lulls { laws.lulled(Knobs::default()) } else { laws };
    world.laws = if blocks { laws.patient() } else { laws };
    if dice.percent(40) {
        // These worlds are short: let there be more offers than in life.
        let (term, longest) = (dice.between(MILLISECOND, 5 * MILLISECOND), 10 * MILLISECOND);
        let pause = (200 * MICROSECOND, longest);
        let (offer, gives) = (dice.between(0, MILLISECOND), dice.percent(75));
        world.lease = Some(Pace { term, pause, offer, gives });
    }
    if !world.tells || (blocks && dice.percent(20)) {
        world.detect = None;
    }
    let local = dice.percent(25);
    let processes = if local { 1 } else { dice.pick(&[1, 1, 2, 3]) };
    let mut work = 0;
    for _ in 0..processes {
        let process = world.process(local);
        work += populate(&mut world, &mut dice, process, kind);
    }
    if !local && dice.percent(30) {
        for _ in 0..=dice.below(3) {
            let rounds = 1 + dice.below(20);
            let pause = dice.between(0, 3 * MILLISECOND);
            let keep = dice.between(10 * MICROSECOND, 10 * MILLISECOND);
            work += world.stranger(rounds, pause, keep);
        }
    }
    Scenario { world, work }
}

fn populate(world: &mut World, dice: &mut Dice, process: usize, kind: Kind) -> Nanos {
    let Kind { blocks, lulls } = kind;
    let mut pools = Vec::new();
    let (anchored, adopts) = (dice.percent(30), dice.percent(15));
    for index in 0..dice.pick(&[1, 1, 1, 2, 3]) {
        let workers = dice.pick(&[1, 2, 2, 3, 4, 6, 9]);
        pools.push(match adopts && index == 0 {
            // Somebody must be there once that thread has left.
            true => world.adopting(process, workers.max(2)),
            false => world.pool(process, workers, anchored && index == 0),
        });
    }
    let short = [100 * MICROSECOND, MILLISECOND, 4 * MILLISECOND];
    let longest = dice.pick(if lulls { &[SECOND, 3 * SECOND, 9 * SECOND] } else { &short });
    let style = Style {
        taste: Taste {
            pools: &pools,
            open: &[],
            longest,
            // The copy of a thread that has left waits for ever.
            broadcasts: dice.percent(50) && !adopts,
            spawns: dice.percent(50),
            locks: blocks.then(|| dice.below(4)),
        },
        size: dice.pick(&[3, 20, 60]),
        pause: dice.pick(&[
            0,
            20 * MICROSECOND,
            500 * MICROSECOND,
            10 * MILLISECOND,
            60 * MILLISECOND,
        ]),
    };
    let locks = style.taste.locks.unwrap_or(0);
    world.locks.resize_with(locks.max(world.locks.len()), Lock::default);
    let mut work = 0;
    if adopts {
        // Others may drop its pool while it runs; nobody would run what it has spawned there since.
        let lingers = dice.percent(30);
        let taste = Taste { open: &[pools[0]], ..style.taste };
        let taste = Taste { spawns: taste.spawns && !lingers, ..taste };
        let size = 1 + dice.below(style.size);
        let program = code(dice, taste, size);
        work += program::duration(&program, 1);
        world.build(pools[0], program, &pools[usize::from(lingers)..]);
    }
    for _ in 0..=dice.below(3) {
        let acts: Vec<_> = (0..=dice.below(12)).map(|_| act(world, dice, style)).collect();
        work += acts.iter().map(|act| duration(world, act)).sum::<Nanos>();
        world.caller(acts, pools.clone());
    }
    work
}

#[derive(Clone, Copy, Debug)]
struct Style<'a> {
    taste: Taste<'a>,
    size: usize,
    pause: Nanos,
}

fn act(world: &World, dice: &mut Dice, style: Style<'_>) -> Act {
    let pool = dice.pick(style.taste.pools);
    let announced = !world.pools[pool].anchored || dice.percent(30);
    let copy = |dice: &mut Dice| match dice.below(3) {
        0 => code(dice, Taste { pools: &[], spawns: false, open: &[pool], ..style.taste }, 2),
        _ => [Op::Compute(dice.between(0, 100 * MICROSECOND))].into(),
    };
    let size = 1 + dice.below(style.size);
    match dice.below(20) {
        0..=7 => {
            let taste = Taste { open: &[pool], ..style.taste };
            Act::Install { pool, code: code(dice, taste, size), announced }
        }
        8 => {
            let taste = Taste { open: &[pool], ..style.taste };
            let parts = 1 + dice.below(size.min(4));
            let parts = (0..parts).map(|_| code(dice, taste, size / parts)).collect();
            Act::Scope { pool, parts, pause: dice.between(0, style.pause), announced }
        }
        9..=11 => {
            let taste = Taste { pools: &[], ..style.taste };
            Act::Spawn { pool, code: code(dice, taste, size), announced }
        }
        12 | 13 if style.taste.broadcasts => Act::Broadcast { pool, code: copy(dice), announced },
        14 if style.taste.broadcasts => Act::SpawnBroadcast { pool, code: copy(dice), announced },
        _ => Act::Pause(dice.between(0, style.pause)),
    }
}

fn code(dice: &mut Dice, taste: Taste<'_>, size: usize) -> Code {
    program::write(dice, taste, size)
}

fn duration(world: &World, act: &Act) -> Nanos {
    let workers = world.pools.iter().map(|pool| pool.workers.len()).max().unwrap_or(1) as u64;
    match act {
        Act::Pause(time) => *time,
        Act::Scope { parts, pause, .. } => {
            let all = parts.iter().map(|part| program::duration(part, workers) + *pause);
            all.sum::<Nanos>() + MILLISECOND
        }
        Act::Install { code, .. } | Act::Spawn { code, .. } => {
            program::duration(code, workers) + MILLISECOND
        }
        Act::Broadcast { code, .. } | Act::SpawnBroadcast { code, .. } => {
            (program::duration(code, workers) + MILLISECOND) * workers
        }
    }
}
