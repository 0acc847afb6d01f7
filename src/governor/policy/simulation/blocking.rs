//! Workers that block in their program: on locks, on something outside, with and without a word.

use std::collections::VecDeque;

use super::Nanos;
use super::machine::Piece;
use super::program::Code;
use super::worker::Frame;
use super::world::{Event, World};
use crate::governor::policy::Orders;

/// A lock of a program; those who wait get it in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Lock {
    taken: bool,
    queue: VecDeque<(usize, usize)>,
}

impl World {
    /// A worker says that it will block, and does.
    pub(super) fn go_away(&mut self, pool: usize, worker: usize, time: Nanos) {
        let home = &mut self.pools[pool];
        let me = &mut home.workers[worker];
        me.stack.push(Frame::Away);
        me.asleep_in_job = true;
        me.lent = false;
        home.admitted -= usize::from(std::mem::take(&mut me.funded));
        self.tell(pool, "blocked", |policy, now, _, orders| policy.blocked(now, worker, orders));
        self.after(time, Event::Worker(pool, worker));
    }

    /// It has done so.
    pub(super) fn come_back(&mut self, pool: usize, worker: usize) {
        let me = &mut self.pools[pool].workers[worker];
        me.asleep_in_job = false;
        me.stack.pop();
        self.rule(pool, worker, "unblocked", |policy, now, _, orders| {
            policy.unblocked(now, worker, orders)
        });
    }

    /// A worker runs `code` under a lock, and blocks before that if it must.
    pub(super) fn lock(&mut self, pool: usize, worker: usize, lock: usize, code: Code) {
        let home = &mut self.pools[pool];
        home.pieces += 1;
        self.unfinished += 1;
        let me = &mut home.workers[worker];
        me.stack.push(Frame::Unlock(lock));
        me.stack.push(Frame::Run(Piece::new(code, None), 0));
        if std::mem::replace(&mut self.locks[lock].taken, true) {
            me.asleep_in_job = true;
            me.sleeps += 1;
            self.locks[lock].queue.push_back((pool, worker));
        } else {
            self.go_on(pool, worker);
        }
    }

    pub(super) fn unlock(&mut self, pool: usize, worker: usize, lock: usize) {
        self.pools[pool].workers[worker].stack.pop();
        match self.locks[lock].queue.pop_front() {
            Some((next_pool, next)) => {
                self.pools[next_pool].workers[next].asleep_in_job = false;
                self.wake_at(Event::Worker(next_pool, next));
            }
            None => self.locks[lock].taken = false,
        }
        self.go_on(pool, worker);
    }

    /// Looks who of a pool blocks, if it is time for that.
    pub(super) fn inspect(&mut self, pool: usize, orders: &mut Orders) {
        let now = self.now;
        let home = &mut self.pools[pool];
        let Some(detect) = self.detect.filter(|_| home.policy.inspects(now)) else { return };
        let (posted, workers) = (home.governor.posted_at, &mut home.workers);
        let still = |worker: usize| {
            let me = &mut workers[worker];
            let (usage, sleeps) = (me.usage(now, false), me.sleeps());
            me.still.look(usage, posted, detect, || sleeps)
        };
        home.policy.inspect(now, still, orders);
        self.trace(pool, &"inspect", orders);
    }

    /// Notes who was lent, and who was funded where it ran.
    pub(super) fn follow_loans(&mut self) {
        for home in &mut self.pools {
            let strays = home.policy.strayed() || home.workers.iter().any(|worker| worker.lent);
            if !strays || home.policy.ended() {
                continue;
            }
            for (worker, me) in home.workers.iter_mut().enumerate() {
                let lent = home.policy.is_astray(worker);
                if lent && me.funded {
                    me.funded = false;
                    home.admitted -= 1;
                } else if !lent && me.lent && home.policy.runs(worker) && !me.funded {
                    me.funded = true;
                    home.admitted += 1;
                }
                me.lent = lent;
            }
        }
    }
}
