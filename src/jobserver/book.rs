//! Who in this process gets which fund: the pure part of the ledger.

/// The one job that every client of a jobserver may run without a token.
///
/// Only [`Book::new`] makes one, so a process has as many as it has ledgers, and no function
/// accepts one for the jobserver.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnSlot(());

/// What pays for one running worker. Move-only; it goes back where it came from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fund<T> {
    Own(OwnSlot),
    Token(T),
}

/// What an account would take, were it offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) funds: usize,
    /// The account has jobs and no fund at all.
    pub(crate) starving: bool,
    /// The own slot will not do: the account is a thread's that runs beside it.
    pub(crate) tokens_only: bool,
}

/// What becomes of a fund that is offered to the book.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer<T> {
    /// It lies in this account's inbox.
    Granted(usize),
    /// Nobody here wants it: the token goes back to the jobserver.
    Return(T),
    /// Nobody here wants it, and it stays in the process.
    Kept,
}

#[derive(Debug)]
struct Account<T> {
    demand: Demand,
    inbox: Vec<Fund<T>>,
    /// It has been granted a fund, or has taken one, since it was last known to have none.
    holds: bool,
}

/// Accounts of the pools and threads that share one jobserver connection.
#[derive(Debug)]
pub(crate) struct Book<T> {
    own: Option<OwnSlot>,
    accounts: Vec<Option<Account<T>>>,
    /// Where the search for a taker begins, so that equal demands take turns.
    next: usize,
}

impl<T> Book<T> {
    pub(crate) fn new() -> Self {
        Book { own: Some(OwnSlot(())), accounts: Vec::new(), next: 0 }
    }

    /// Opens an account and returns its number.
    pub(crate) fn open(&mut self) -> usize {
        let account = Some(Account { demand: Demand::default(), inbox: Vec::new(), holds: false });
        match self.accounts.iter().position(Option::is_none) {
            Some(free) => {
                self.accounts[free] = account;
                free
            }
            None => {
                self.accounts.push(account);
                self.accounts.len() - 1
            }
        }
    }

    /// Closes an account; what lies in its inbox is to be offered again.
    pub(crate) fn close(&mut self, id: usize) -> Vec<Fund<T>> {
        self.accounts[id].take().map_or_else(Vec::new, |account| account.inbox)
    }

    /// The own slot, if nobody uses it.
    pub(crate) fn take_own(&mut self) -> Option<Fund<T>> {
        self.own.take().map(Fund::Own)
    }

    /// Replaces what an account wants.
    pub(crate) fn demand(&mut self, id: usize, demand: Demand) {
        self.account(id).demand = demand;
    }

    /// What an account still wants; `None` if it wants nothing.
    pub(crate) fn wanted(&self, id: usize) -> Option<Demand> {
        let account = self.accounts[id].as_ref()?;
        (account.demand.funds > 0).then_some(account.demand)
    }

    /// Gives a fund to whoever needs it most.
    pub(crate) fn offer(&mut self, fund: Fund<T>) -> Offer<T> {
        let own = matches!(fund, Fund::Own(_));
        let wants = |demand: Demand| demand.funds > 0 && !(own && demand.tokens_only);
        let starving = self.search(|demand| demand.starving && wants(demand));
        let taker = starving.or_else(|| self.search(wants));
        match (taker, fund) {
            (Some(id), fund) => {
                self.next = id + 1;
                self.grant(id, fund);
                Offer::Granted(id)
            }
            (None, Fund::Own(slot)) => {
                self.own = Some(slot);
                Offer::Kept
            }
            (None, Fund::Token(token)) => Offer::Return(token),
        }
    }

    /// Puts a fund that nobody else wants into an account's inbox.
    pub(crate) fn grant(&mut self, id: usize, fund: Fund<T>) {
        let account = self.account(id);
        account.demand.funds = account.demand.funds.saturating_sub(1);
        account.demand.starving = false;
        account.inbox.push(fund);
        account.holds = true;
    }

    /// Notes that an account holder has taken a fund.
    pub(crate) fn took(&mut self, id: usize) {
        self.account(id).holds = true;
    }

    /// Notes that an account holder has given all its funds up, but for what lies in its inbox.
    pub(crate) fn gave_all(&mut self, id: usize) {
        let account = self.account(id);
        account.holds = !account.inbox.is_empty();
    }

    /// Whether an account holder may have a fund that it could give up.
    pub(crate) fn holds(&self, id: usize) -> bool {
        self.accounts[id].as_ref().is_some_and(|account| account.holds)
    }

    /// Empties an account's inbox.
    pub(crate) fn collect(&mut self, id: usize) -> Vec<Fund<T>> {
        std::mem::take(&mut self.account(id).inbox)
    }

    /// How many tokens the accounts together wait for.
    pub(crate) fn shortfall(&self) -> usize {
        self.open_accounts().map(|(_, account)| account.demand.funds).sum()
    }

    /// Whether another account wants a fund that this one could give, which has `tokens` or not; and whether one
    /// starves for it.
    pub(crate) fn rivals(&self, id: usize, tokens: bool) -> (bool, bool) {
        let others = || self.open_accounts().filter(move |&(other, _)| other != id);
        let demands = || others().map(|(_, account)| account.demand);
        let demands = || demands().filter(|demand| tokens || !demand.tokens_only);
        let wants = demands().any(|demand| demand.funds > 0);
        let starves = demands().any(|demand| demand.starving);
        (wants, starves)
    }

    fn open_accounts(&self) -> impl Iterator<Item = (usize, &Account<T>)> {
        let numbered = self.accounts.iter().enumerate();
        numbered.filter_map(|(id, account)| Some((id, account.as_ref()?)))
    }

    fn search(&self, wanted: impl Fn(Demand) -> bool) -> Option<usize> {
        let size = self.accounts.len();
        (0..size).map(|offset| (self.next + offset) % size).find(|&id| {
            let account = self.accounts[id].as_ref();
            account.is_some_and(|account| wanted(account.demand))
        })
    }

    fn account(&mut self, id: usize) -> &mut Account<T> {
        self.accounts[id].as_mut().expect("an account is used only while it is open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn want(funds: usize) -> Demand {
        Demand { funds, ..Demand::default() }
    }

    #[test]
    fn the_own_slot_is_handed_out_once_and_never_returned() {
        let mut book = Book::<u8>::new();
        let own = book.take_own().expect("nobody has it yet");
        assert_eq!(book.take_own(), None);
        assert_eq!(book.offer(own), Offer::Kept);
        assert!(book.take_own().is_some());
    }

    #[test]
    fn a_token_nobody_wants_goes_back_as_it_was() {
        let mut book = Book::new();
        book.open();
        assert_eq!(book.offer(Fund::Token(7_u8)), Offer::Return(7));
    }

    #[test]
    fn the_starving_come_first_and_equals_take_turns() {
        let mut book = Book::new();
        let (a, b, c) = (book.open(), book.open(), book.open());
        book.demand(a, want(2));
        book.demand(b, want(2));
        book.demand(c, Demand { funds: 1, starving: true, ..Demand::default() });
        assert_eq!(book.rivals(a, false), (true, true));
        assert_eq!(book.shortfall(), 5);
        let order: Vec<_> = (0..6).map(|byte| book.offer(Fund::Token(byte))).collect();
        let granted = |id| Offer::Granted(id);
        let expected =
            [granted(c), granted(a), granted(b), granted(a), granted(b), Offer::Return(5)];
        assert_eq!(order, expected);
        assert_eq!(book.collect(c), [Fund::Token(0)]);
        assert_eq!(book.rivals(a, true), (false, false));
    }

    #[test]
    fn whoever_starves_for_a_token_is_no_rival_of_those_that_have_none() {
        let mut book = Book::<u8>::new();
        let (a, b) = (book.open(), book.open());
        book.demand(b, Demand { funds: 1, starving: true, tokens_only: true });
        assert_eq!(
            [true, false].map(|tokens| book.rivals(a, tokens)),
            [(true, true), (false, false)]
        );
    }

    #[test]
    fn who_holds_a_fund_is_known() {
        let mut book = Book::new();
        let (a, b) = (book.open(), book.open());
        book.took(a);
        book.demand(b, want(1));
        assert_eq!(book.offer(Fund::Token(1_u8)), Offer::Granted(b));
        assert!(book.holds(a) && book.holds(b));
        book.gave_all(a);
        book.gave_all(b);
        assert!(!book.holds(a) && book.holds(b), "one lies in the inbox");
        book.collect(b);
        book.gave_all(b);
        assert!(!book.holds(b));
    }

    #[test]
    fn a_closed_account_leaves_its_inbox_behind() {
        let mut book = Book::new();
        let (a, b) = (book.open(), book.open());
        book.demand(a, want(1));
        assert_eq!(book.offer(Fund::Token(1_u8)), Offer::Granted(a));
        assert_eq!(book.close(a), [Fund::Token(1)]);
        assert_eq!(book.rivals(b, true), (false, false));
        assert_eq!(book.open(), a);
        assert!(book.collect(a).is_empty());
    }
}
