//! The thread that built a pool and is a worker of it beside its own program.

use super::machine::{Piece, Pool};
use super::program::Code;
use super::worker::{Frame, Mode};
use super::world::{Event, World};

impl World {
    /// The current thread becomes worker 0.
    pub(super) fn adopt(&mut self, pool: usize) {
        let home = &mut self.pools[pool];
        home.admitted = 1;
        let me = &mut home.workers[0];
        me.mode = Mode::Running;
        me.funded = true;
        me.stack.clear();
        if self.tells {
            me.record.survey(me.usage(self.now, false));
        }
        self.tell(pool, "adopted", |policy, now, _, _| policy.adopted(now, 0));
    }

    /// It begins with its program, which uses these pools.
    pub(super) fn build(&mut self, pool: usize, program: Code, uses: &[usize]) {
        self.unfinished += 1;
        uses.iter().for_each(|&used| self.pools[used].users += 1);
        self.pools[pool].uses = uses.to_vec();
        self.pools[pool].pieces += 1;
        self.pools[pool].workers[0].stack.push(Frame::Run(Piece::new(program, None), 0));
        self.wake_at(Event::Worker(pool, 0));
    }

    /// It has come to the end of that. It drops the pool, or blocks until the others who use it have come to
    /// theirs.
    pub(super) fn builder_is_done(&mut self, pool: usize) {
        let Pool { admitted, workers, uses, .. } = &mut self.pools[pool];
        *admitted -= usize::from(std::mem::take(&mut workers[0].funded));
        workers[0].lent = false;
        let uses = std::mem::take(uses);
        self.give_up_use(&uses);
        if !self.pools[pool].dropped {
            self.tell(pool, "blocked", |policy, now, _, orders| policy.blocked(now, 0, orders));
        }
    }
}
