//! Threads outside any pool, and what they ask of the pools.

use std::collections::VecDeque;

use super::Nanos;
use super::machine::{Job, Piece, Waiter};
use super::program::Code;
use super::world::{Event, World};

#[derive(Clone, Debug)]
pub(super) enum Act {
    Pause(Nanos),
    /// Waits for the program. A call of a global pool may come without notice.
    Install {
        pool: usize,
        code: Code,
        announced: bool,
    },
    /// `in_place_scope`: a pause before each job, then the wait for them all.
    Scope {
        pool: usize,
        parts: Vec<Code>,
        pause: Nanos,
        announced: bool,
    },
    Spawn {
        pool: usize,
        code: Code,
        announced: bool,
    },
    Broadcast {
        pool: usize,
        code: Code,
        announced: bool,
    },
    SpawnBroadcast {
        pool: usize,
        code: Code,
        announced: bool,
    },
}

#[derive(Debug)]
pub(super) struct Caller {
    acts: VecDeque<Act>,
    /// The pools it may use: each goes when the last of its users is done.
    uses: Vec<usize>,
    /// The pool it has entered, once it has.
    visiting: Option<usize>,
    /// An announced call has yet to be made.
    entered: bool,
    /// The jobs it is about to spawn in its scope, one by one.
    scope: Option<Spawning>,
    /// When its last act was done.
    pub(super) done: Option<Nanos>,
}

#[derive(Debug)]
struct Spawning {
    pool: usize,
    latch: usize,
    parts: VecDeque<Code>,
    pause: Nanos,
}

impl Caller {
    /// How much it has yet to begin.
    pub(super) fn left(&self) -> usize {
        self.acts.len()
    }
}

impl World {
    pub(super) fn caller(&mut self, acts: Vec<Act>, uses: Vec<usize>) {
        uses.iter().for_each(|&pool| self.pools[pool].users += 1);
        let caller = Caller {
            acts: acts.into(),
            uses,
            visiting: None,
            entered: false,
            scope: None,
            done: None,
        };
        self.callers.push(caller);
        self.unfinished += 1;
        self.wake_at(Event::Caller(self.callers.len() - 1));
    }

    /// The next step of a caller: entering, calling and leaving are three, so that others can
    /// come between.
    pub(super) fn call(&mut self, id: usize) {
        let caller = &mut self.callers[id];
        if let Some(Spawning { pool, latch, parts, pause }) = &mut caller.scope {
            let (pool, latch, pause) = (*pool, *latch, *pause);
            return match parts.pop_front() {
                Some(part) => {
                    self.inject_late(pool, Piece::new(part, Some(latch)));
                    self.after(pause, Event::Caller(id));
                }
                // Woken once the jobs are done, too.
                None => {
                    caller.scope = None;
                    self.count_down(latch);
                }
            };
        }
        if let Some(pool) = caller.visiting.filter(|_| !caller.entered) {
            caller.visiting = None;
            self.leave(pool);
            return self.hop_to(Event::Caller(id));
        }
        let Some(act) = caller.acts.front().cloned() else { return self.retire(id) };
        let announced = match act {
            Act::Pause(time) => {
                caller.acts.pop_front();
                return self.after(time, Event::Caller(id));
            }
            Act::Install { pool, announced, .. }
            | Act::Scope { pool, announced, .. }
            | Act::Spawn { pool, announced, .. }
            | Act::Broadcast { pool, announced, .. }
            | Act::SpawnBroadcast { pool, announced, .. } => announced.then_some(pool),
        };
        if let Some(pool) = announced.filter(|_| !caller.entered) {
            caller.entered = true;
            self.enter(pool);
            return self.hop_to(Event::Caller(id));
        }
        caller.entered = false;
        caller.acts.pop_front();
        match act {
            Act::Pause(_) => {}
            Act::Install { pool, code, announced } => {
                self.callers[id].visiting = announced.then_some(pool);
                self.unfinished += 1;
                let latch = self.latch(1, Waiter::Caller(id));
                self.inject(pool, Job::Piece(Piece::new(code, Some(latch))));
            }
            Act::Scope { pool, parts, pause, announced } => {
                self.unfinished += parts.len();
                let latch = self.latch(parts.len() + 1, Waiter::Caller(id));
                let caller = &mut self.callers[id];
                caller.visiting = announced.then_some(pool);
                caller.scope = Some(Spawning { pool, latch, parts: parts.into(), pause });
                self.after(pause, Event::Caller(id));
            }
            Act::Spawn { pool, code, announced } => {
                self.unfinished += 1;
                let visit = announced.then(|| self.visit(1));
                let piece = Piece { visit, spawned: true, ..Piece::new(code, None) };
                self.inject(pool, Job::Piece(piece));
                self.hop_to(Event::Caller(id));
            }
            Act::Broadcast { pool, code, announced } => {
                self.callers[id].visiting = announced.then_some(pool);
                let count = self.pools[pool].workers.len();
                let latch = self.latch(count, Waiter::Caller(id));
                self.unfinished += count;
                let copy = Piece::new(code, Some(latch));
                let announces = announced.then(|| self.announcement());
                self.inject_broadcast(pool, &Piece { announces, ..copy });
            }
            Act::SpawnBroadcast { pool, code, announced } => {
                let count = self.pools[pool].workers.len();
                self.unfinished += count;
                let copy = Piece::new(code, None);
                let visit = announced.then(|| self.visit(count));
                let announces = announced.then(|| self.announcement());
                self.inject_broadcast(pool, &Piece { visit, announces, spawned: true, ..copy });
                self.hop_to(Event::Caller(id));
            }
        }
    }

    fn visit(&mut self, copies: usize) -> usize {
        self.visits.push(copies);
        self.visits.len() - 1
    }

    fn announcement(&mut self) -> usize {
        self.announcements.push(false);
        self.announcements.len() - 1
    }

    /// A caller is done.
    fn retire(&mut self, id: usize) {
        self.unfinished -= 1;
        self.callers[id].done = Some(self.now);
        let uses = std::mem::take(&mut self.callers[id].uses);
        self.give_up_use(&uses);
    }

    /// Pools that nobody else uses are dropped.
    pub(super) fn give_up_use(&mut self, pools: &[usize]) {
        for &pool in pools {
            self.pools[pool].users -= 1;
            if self.pools[pool].users == 0 && !self.pools[pool].anchored {
                self.drop_pool(pool);
            }
        }
    }
}
