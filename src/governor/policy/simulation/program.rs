//! Random fork-join programs.

use std::rc::Rc;

use super::dice::Dice;
use super::{MICROSECOND, MILLISECOND, Nanos};

/// What a job does, one after another.
pub(super) type Code = Rc<[Op]>;

#[derive(Clone, Debug)]
pub(super) enum Op {
    /// Computes.
    Compute(Nanos),
    /// Waits for something that is no job: a file, a child.
    Block(Nanos),
    /// The same, and says so.
    Away(Nanos),
    /// Runs something that needs no other job, under a lock.
    Locked(usize, Code),
    Join(Code, Code),
    Scope(Vec<Code>),
    /// `spawn` on a worker: nobody waits for the job, and no governor is told of it.
    Spawn(Code),
    /// `install` into another pool of the process.
    Call(usize, Code),
    /// `rayon::broadcast` on a worker, which no governor is told of.
    Broadcast(Code),
    /// Jobs that are put into a pool which waits for them as it does for this one: from another pool
    /// no governor is told of them.
    Back(usize, Vec<Code>),
    /// `yield_now`.
    Yield,
    /// `yield_token`.
    YieldToken,
    /// `spawn`, and `yield_now` until that is done.
    Await(Code),
}

/// What programs are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taste<'a> {
    /// Pools that may be called from within.
    pub(super) pools: &'a [usize],
    /// Pools in which a call waits for all this.
    pub(super) open: &'a [usize],
    /// Longest leaf.
    pub(super) longest: Nanos,
    pub(super) broadcasts: bool,
    pub(super) spawns: bool,
    /// Locks that may be taken; `None`: nobody blocks for long.
    pub(super) locks: Option<usize>,
}

/// Writes a program of about `size` leaves.
pub(super) fn write(dice: &mut Dice, taste: Taste<'_>, size: usize) -> Code {
    let mut ops = Vec::new();
    let mut left = size.max(1);
    while left > 0 {
        let part = 1 + dice.below(left);
        left -= part;
        ops.push(op(dice, taste, part));
    }
    ops.into()
}

fn op(dice: &mut Dice, taste: Taste<'_>, size: usize) -> Op {
    if let Some(locks) = taste.locks
        && size <= 2
        && dice.percent(30)
    {
        return blocking(dice, locks);
    }
    if size == 1 {
        return match dice.below(24) {
            0 | 1 => Op::Block(leaf(dice, taste)),
            3 | 4 => Op::YieldToken,
            2 if taste.broadcasts => {
                let time = leaf(dice, taste).min(200 * MICROSECOND);
                Op::Broadcast([Op::Compute(time)].into())
            }
            _ => Op::Compute(leaf(dice, taste)),
        };
    }
    // Copies that wait for other jobs, those of other broadcasts among them.
    if size <= 3 && taste.broadcasts && dice.percent(10) {
        let taste = Taste { pools: &[], spawns: false, ..taste };
        return Op::Broadcast(write(dice, taste, size - 1));
    }
    match dice.below(13) {
        0..=4 => {
            let left = 1 + dice.below(size - 1);
            Op::Join(write(dice, taste, left), write(dice, taste, size - left))
        }
        5..=7 => {
            let parts = 1 + dice.below(size.min(12));
            Op::Scope((0..parts).map(|_| write(dice, taste, size / parts)).collect())
        }
        // What nobody waits for must not need a pool that may be gone by then.
        8 if taste.spawns => Op::Spawn(write(dice, Taste { pools: &[], open: &[], ..taste }, size)),
        9 if !taste.pools.is_empty() => {
            let pool = dice.pick(taste.pools);
            let open = [taste.open, &[pool]].concat();
            Op::Call(pool, write(dice, Taste { open: &open, ..taste }, size))
        }
        10 if !taste.open.is_empty() => {
            let parts = 1 + dice.below(size.min(4));
            // Another than the present one, if there is any.
            let outer = &taste.open[..taste.open.len().saturating_sub(1).max(1)];
            let pool = dice.pick(outer);
            Op::Back(pool, (0..parts).map(|_| write(dice, taste, size / parts)).collect())
        }
        11 => Op::Yield,
        12 => Op::Await(write(dice, taste, size - 1)),
        _ => Op::Compute(leaf(dice, taste)),
    }
}

/// Something that blocks, for up to several times as long as it takes to be noticed.
fn blocking(dice: &mut Dice, locks: usize) -> Op {
    let time = |dice: &mut Dice| {
        let most = dice.pick(&[100 * MICROSECOND, 5 * MILLISECOND, 60 * MILLISECOND]);
        dice.between(0, most)
    };
    if locks == 0 || dice.percent(60) {
        let time = time(dice);
        return if dice.percent(50) { Op::Block(time) } else { Op::Away(time) };
    }
    let inner = (0..=dice.below(2)).map(|_| match dice.below(3) {
        0 => Op::Compute(time(dice) / 10),
        1 => Op::Block(time(dice)),
        _ => Op::Away(time(dice)),
    });
    let inner = inner.collect();
    Op::Locked(dice.below(locks), inner)
}

fn leaf(dice: &mut Dice, taste: Taste<'_>) -> Nanos {
    let most = dice.pick(&[2 * MICROSECOND, 20 * MICROSECOND, 200 * MICROSECOND, taste.longest]);
    dice.between(0, most.min(taste.longest))
}

/// So many leaves, as a parallel iterator divides them.
pub(super) fn halves(leaves: usize, leaf: &mut dyn FnMut() -> Nanos) -> Code {
    if leaves == 1 {
        return [Op::Compute(leaf())].into();
    }
    let left = halves(leaves / 2, leaf);
    [Op::Join(left, halves(leaves.div_ceil(2), leaf))].into()
}

/// How long a program takes by itself, on pools of at most `workers` workers.
pub(super) fn duration(code: &Code, workers: u64) -> Nanos {
    let cost = |op: &Op| match op {
        Op::Compute(time) | Op::Block(time) | Op::Away(time) => *time + MILLISECOND / 2,
        Op::Locked(_, code) => duration(code, workers),
        Op::Join(left, right) => duration(left, workers) + duration(right, workers),
        Op::Scope(parts) | Op::Back(_, parts) => {
            parts.iter().map(|part| duration(part, workers)).sum()
        }
        Op::Yield | Op::YieldToken => MILLISECOND / 2,
        Op::Spawn(code) | Op::Await(code) | Op::Call(_, code) => duration(code, workers),
        Op::Broadcast(code) => (duration(code, workers) + MILLISECOND) * workers,
    };
    code.iter().map(cost).sum()
}
