//! The funds of one pool, and its account at the ledger.

use std::sync::Arc;

use crate::jobserver::{AnyFund, Demand, Fund, Holder, Ledger, Market};

/// What a pool holds. Dropped, it gives everything back.
pub(crate) struct Purse {
    ledger: Arc<Ledger>,
    account: Option<usize>,
    own: Option<Fund>,
    tokens: Vec<Fund>,
    /// Funds that are not backed by anything yet.
    loans: usize,
    overcommits: u64,
    /// What the ledger was last told, unless it may have changed that since.
    told: Option<Demand>,
    /// Something may lie in the inbox: since the last look more was wanted than nothing.
    expects: bool,
}

impl Purse {
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Self {
        Purse {
            ledger: Arc::clone(ledger),
            account: None,
            own: None,
            tokens: Vec::new(),
            loans: 0,
            overcommits: 0,
            told: None,
            expects: false,
        }
    }

    pub(crate) fn open(&mut self, holder: &Arc<dyn Holder>) {
        self.account = Some(self.ledger.open(holder));
    }

    /// Funds in all, backed or not.
    pub(crate) fn len(&self) -> usize {
        self.tokens.len() + usize::from(self.own.is_some()) + self.loans
    }

    /// How often a worker had to run before there was a fund for it.
    pub(crate) fn overcommits(&self) -> u64 {
        self.overcommits
    }

    /// Adds a fund that nothing backs.
    pub(crate) fn lend(&mut self) {
        self.loans += 1;
        self.overcommits += 1;
    }

    /// Adds a fund, or backs a loan by it.
    fn add(&mut self, fund: Fund) {
        self.loans = self.loans.saturating_sub(1);
        match fund {
            AnyFund::Own(_) => self.own = Some(fund),
            AnyFund::Token(_) => self.tokens.push(fund),
        }
    }

    /// Takes up to `most` funds that can be had without waiting, and says how many. Those that back a loan
    /// do not count.
    pub(crate) fn take(&mut self, most: usize) -> usize {
        let before = self.len();
        while self.len() - before < most {
            match self.account.and_then(|account| self.ledger.try_take_for(account)) {
                Some(fund) => self.add(fund),
                None => break,
            }
        }
        self.len() - before
    }

    /// Takes the own slot in place of a token, if nobody uses it, and returns that token.
    pub(crate) fn exchange(&mut self) -> Option<Fund> {
        if self.own.is_some() || self.tokens.is_empty() {
            return None;
        }
        self.own = Some(self.ledger.take_own()?);
        self.tokens.pop()
    }

    /// Takes what was granted, and says how many funds that were and how many of them backed no loan.
    pub(crate) fn collect(&mut self) -> (usize, usize) {
        let Some(account) = self.account.filter(|_| self.expects) else { return (0, 0) };
        let granted = self.ledger.collect(account);
        if !granted.is_empty() {
            // The ledger has taken it off our demand: off this one, or off the one before it.
            self.told = None;
        }
        self.expects = self.told.is_none_or(|told| told.funds > 0);
        let (count, before) = (granted.len(), self.len());
        granted.into_iter().for_each(|fund| self.add(fund));
        (count, self.len() - before)
    }

    /// What the pool wants by itself, and what would back its loans; `leaving` funds are about to be
    /// [withdrawn](Self::withdraw).
    pub(crate) fn and_loans(&self, wanted: Demand, leaving: usize) -> Demand {
        let loans = self.loans.saturating_sub(leaving);
        let unbacked = loans > 0 && self.tokens.is_empty() && self.own.is_none();
        Demand { funds: wanted.funds + loans, starving: wanted.starving || unbacked, ..wanted }
    }

    /// Tells the ledger what the pool wants, unless it knows that already.
    pub(crate) fn demand(&mut self, demand: Demand) {
        if let Some(account) = self.account
            && self.told != Some(demand)
        {
            self.told = Some(demand);
            self.expects |= demand.funds > 0;
            self.ledger.demand(account, demand);
        }
    }

    /// What others want.
    pub(crate) fn market(&self) -> Market {
        let tokens = !self.tokens.is_empty();
        self.account.map_or_else(Market::default, |account| self.ledger.market(account, tokens))
    }

    /// The same without looking at the jobserver, which would take a system call.
    pub(crate) fn rivals(&self) -> Market {
        let tokens = !self.tokens.is_empty();
        self.account.map_or_else(Market::default, |account| self.ledger.rivals(account, tokens))
    }

    /// Takes `count` funds out to be given back: loans first, the own slot last.
    pub(crate) fn withdraw(&mut self, count: usize) -> Vec<Fund> {
        if count == 0 {
            return Vec::new();
        }
        let repaid = count.min(self.loans);
        self.loans -= repaid;
        let rest = count - repaid;
        let mut withdrawn = self.tokens.split_off(self.tokens.len().saturating_sub(rest));
        if withdrawn.len() < rest {
            withdrawn.extend(self.own.take());
        }
        if let (0, Some(account)) = (self.len(), self.account) {
            self.ledger.gave_all(account);
        }
        withdrawn
    }

    /// Gives up the account and everything in it.
    pub(crate) fn close(&mut self) {
        if let Some(account) = self.account.take() {
            self.ledger.close(account);
        }
        let everything = self.withdraw(self.len());
        everything.into_iter().for_each(|fund| self.ledger.give(fund));
    }
}

impl Drop for Purse {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::Jobserver;

    struct Nobody;

    impl Holder for Nobody {
        fn granted(&self) {}
        fn nudge(&self) {}
    }

    /// A purse with all funds of the jobserver, and one without.
    fn purses(jobserver: &Jobserver, funds: usize) -> (Purse, Purse) {
        let (mut full, mut empty) =
            (Purse::new(jobserver.ledger()), Purse::new(jobserver.ledger()));
        let holder: Arc<dyn Holder> = Arc::new(Nobody);
        full.open(&holder);
        empty.open(&holder);
        assert_eq!(full.take(usize::MAX), funds);
        (full, empty)
    }

    fn give(purse: &mut Purse) {
        let given = purse.withdraw(1);
        given.into_iter().for_each(|fund| purse.ledger.give(fund));
    }

    fn want(funds: usize) -> Demand {
        Demand { funds, ..Demand::default() }
    }

    #[test]
    fn what_was_granted_before_it_was_wanted_no_more_is_collected() {
        let (mut full, mut empty) = purses(&Jobserver::new(0), 1);
        empty.demand(want(1));
        assert_eq!(empty.collect(), (0, 0));
        give(&mut full);
        empty.demand(want(0));
        assert_eq!((empty.collect(), empty.collect()), ((1, 1), (0, 0)));
    }

    #[test]
    fn what_is_wanted_is_told_again_once_something_was_granted() {
        let (mut full, mut empty) = purses(&Jobserver::new(1), 2);
        for _ in 0..2 {
            empty.demand(want(1));
            give(&mut full);
            assert_eq!(empty.collect(), (1, 1));
        }
        assert_eq!((full.len(), empty.len()), (0, 2));
    }
}
