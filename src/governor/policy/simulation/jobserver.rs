//! One jobserver whose tokens are distinct, and what each process makes of it.

use std::collections::VecDeque;

use super::Nanos;
use super::world::{Event, World};
use crate::jobserver::{AnyFund, Book, Demand, Market, Offer};

/// Move-only, so that losing or doubling one takes some doing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token(pub(super) usize);

pub(super) type Fund = AnyFund<Token>;

/// Somebody who waits for a token in a blocking read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// The broker of a process.
    Broker(usize),
    Stranger(usize),
}

#[derive(Debug)]
pub(super) struct Jobserver {
    pub(super) lying: VecDeque<Token>,
    /// Those who wait and have not been woken, in order.
    readers: VecDeque<Reader>,
}

impl Jobserver {
    pub(super) fn new(tokens: usize) -> Self {
        Jobserver { lying: (0..tokens).map(Token).collect(), readers: VecDeque::new() }
    }

    /// Whether somebody waits for a token and none lies there.
    pub(super) fn is_awaited(&self) -> bool {
        self.lying.is_empty() && !self.readers.is_empty()
    }
}

/// The ledger of a process: its book and its broker.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) book: Book<Token>,
    /// Whether the own slot is at home.
    pub(super) own: bool,
    /// Tokens of the process, wherever in it they are.
    pub(super) held: usize,
    /// What lies in each account's inbox; the book keeps the same, out of sight.
    pub(super) inboxes: Vec<Vec<usize>>,
    /// The pool behind each account.
    pub(super) holders: Vec<Option<usize>>,
    /// Whether the broker is at work or in its blocking read.
    pub(super) broker: bool,
    /// The process has the jobserver to itself and needs no broker.
    pub(super) local: bool,
}

impl Process {
    pub(super) fn new(local: bool) -> Self {
        Process {
            book: Book::new(),
            own: true,
            held: 0,
            inboxes: Vec::new(),
            holders: Vec::new(),
            broker: false,
            local,
        }
    }

    pub(super) fn open(&mut self, pool: usize) -> usize {
        let account = self.book.open();
        assert_eq!(account, self.holders.len(), "pools are opened before any is closed");
        self.holders.push(Some(pool));
        self.inboxes.push(Vec::new());
        account
    }
}

/// Another client of the jobserver: waits for a token, keeps it for a while, gives it back.
#[derive(Debug)]
pub(super) struct Stranger {
    pub(super) rounds: usize,
    pub(super) pause: Nanos,
    pub(super) keep: Nanos,
    pub(super) held: Option<Token>,
}

impl World {
    pub(super) fn try_take(&mut self, process: usize) -> Option<Fund> {
        let own = self.take_own(process);
        own.or_else(|| self.try_token(process).map(Fund::Token))
    }

    pub(super) fn take_own(&mut self, process: usize) -> Option<Fund> {
        let process = &mut self.processes[process];
        let own = process.book.take_own();
        assert_eq!(own.is_some(), process.own, "the own slot is where it was left");
        process.own = false;
        own
    }

    fn try_token(&mut self, process: usize) -> Option<Token> {
        let token = self.jobserver.lying.pop_front()?;
        self.processes[process].held += 1;
        Some(token)
    }

    /// As `Ledger::demand`.
    pub(super) fn demand(&mut self, pool: usize, demand: Demand) {
        let (id, account) = (self.pools[pool].process, self.pools[pool].account);
        self.processes[id].book.demand(account, demand);
        if demand.funds == 0 {
            return;
        }
        let found = match self.take_own(id) {
            None if self.processes[id].local => self.try_token(id).map(Fund::Token),
            own => own,
        };
        if let Some(fund) = found {
            let process = &mut self.processes[id];
            note(&mut process.inboxes[account], &fund);
            process.book.grant(account, fund);
            return;
        }
        if demand.starving {
            let others = self.processes[id].holders.iter().flatten().copied();
            for other in others.filter(|&other| other != pool).collect::<Vec<_>>() {
                self.nudge(other);
            }
        }
        if !self.processes[id].local && !self.processes[id].broker {
            self.processes[id].broker = true;
            self.wake_at(Event::Broker(id));
        }
    }

    pub(super) fn collect(&mut self, pool: usize) -> Vec<Fund> {
        let (process, account) = (self.pools[pool].process, self.pools[pool].account);
        let process = &mut self.processes[process];
        let granted = process.book.collect(account);
        let noted = std::mem::take(&mut process.inboxes[account]);
        let numbers: Vec<_> = granted.iter().filter_map(number).collect();
        assert_eq!(numbers, noted, "an inbox holds what was put into it");
        granted
    }

    /// As `Ledger::give`; the taker is told a little later, by whoever gave.
    pub(super) fn give(&mut self, id: usize, fund: Fund) {
        let process = &mut self.processes[id];
        let number = number(&fund);
        match process.book.offer(fund) {
            Offer::Granted(account) => {
                process.inboxes[account].extend(number);
                let pool = process.holders[account].expect("a closed account wants nothing");
                self.hop_to(Event::Granted(pool));
            }
            Offer::Return(token) => {
                assert_eq!(Some(token.0), number, "a token goes back as it was");
                process.held -= 1;
                self.put(token);
            }
            Offer::Kept => process.own = true,
        }
    }

    /// As `Purse::close`.
    pub(super) fn close_account(&mut self, pool: usize) {
        let (id, account) = (self.pools[pool].process, self.pools[pool].account);
        let process = &mut self.processes[id];
        process.holders[account] = None;
        process.inboxes[account].clear();
        let mut left = process.book.close(account);
        left.append(&mut self.pools[pool].purse);
        for fund in left {
            self.give(id, fund);
        }
    }

    pub(super) fn market(&self, pool: usize) -> Market {
        let pool = &self.pools[pool];
        let token = pool.purse.iter().any(|fund| matches!(fund, Fund::Token(_)));
        let (rival, rival_starving) = self.processes[pool.process].book.rivals(pool.account, token);
        Market { lying: self.jobserver.lying.len(), rival, rival_starving, token }
    }

    fn put(&mut self, token: Token) {
        self.jobserver.lying.push_back(token);
        if let Some(reader) = self.jobserver.readers.pop_front() {
            self.wake_at(Event::Read(reader));
        }
    }

    /// A blocking read: takes a token, or waits for its turn.
    pub(super) fn read(&mut self, reader: Reader) {
        let Some(token) = self.jobserver.lying.pop_front() else {
            self.jobserver.readers.push_back(reader);
            return;
        };
        match reader {
            Reader::Broker(process) => {
                self.processes[process].held += 1;
                self.give(process, Fund::Token(token));
                self.hop_to(Event::Broker(process));
            }
            Reader::Stranger(index) => {
                let stranger = &mut self.strangers[index];
                stranger.held = Some(token);
                let keep = stranger.keep;
                self.after(keep, Event::Stranger(index));
            }
        }
    }

    /// One round of a broker.
    pub(super) fn broker(&mut self, id: usize) {
        if self.processes[id].book.shortfall() > 0 {
            self.read(Reader::Broker(id));
        } else {
            self.processes[id].broker = false;
        }
    }

    pub(super) fn stranger_step(&mut self, index: usize) {
        let stranger = &mut self.strangers[index];
        if let Some(token) = stranger.held.take() {
            let pause = stranger.pause;
            self.put(token);
            self.after(pause, Event::Stranger(index));
        } else if stranger.rounds > 0 {
            stranger.rounds -= 1;
            self.read(Reader::Stranger(index));
        }
    }
}

/// The number of a token; the own slot has none.
pub(super) fn number(fund: &Fund) -> Option<usize> {
    match fund {
        Fund::Own(_) => None,
        Fund::Token(token) => Some(token.0),
    }
}

fn note(inbox: &mut Vec<usize>, fund: &Fund) {
    inbox.extend(number(fund));
}
