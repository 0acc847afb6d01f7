//! Tokens for threads outside any pool, and waiting for them.

use std::fmt;
use std::sync::Arc;

use crossbeam_utils::sync::{Parker, Unparker};

use super::{Demand, Fund, Holder, Ledger};

/// A token held by a thread outside any pool; dropping it gives it back.
pub struct Token {
    /// Taken by the drop alone.
    fund: Option<Fund>,
    ledger: Arc<Ledger>,
}

impl Token {
    pub(super) fn new(fund: Fund, ledger: &Arc<Ledger>) -> Self {
        Token { fund: Some(fund), ledger: Arc::clone(ledger) }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.fund.take().into_iter().for_each(|fund| self.ledger.give(fund));
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// Blocks until there is what is `wanted`; once no token will ever come, the own slot will do.
pub(crate) fn wait_for_fund(ledger: &Arc<Ledger>, wanted: Demand) -> Fund {
    let parker = Parker::new();
    let holder: Arc<dyn Holder> = Arc::new(Waiter { unparker: parker.unparker().clone() });
    let account = ledger.open(&holder);
    ledger.demand(account, wanted);
    let mut tokens_only = wanted.tokens_only;
    let fund = loop {
        if let Some(fund) = ledger.collect(account).pop() {
            break fund;
        }
        if tokens_only && ledger.is_dry() {
            tokens_only = false;
            ledger.demand(account, Demand { tokens_only, ..wanted });
        } else {
            parker.park();
        }
    };
    ledger.close(account);
    fund
}

/// A thread that waits for a token.
struct Waiter {
    unparker: Unparker,
}

impl Holder for Waiter {
    fn granted(&self) {
        self.unparker.unpark();
    }

    fn nudge(&self) {
        self.unparker.unpark();
    }
}
