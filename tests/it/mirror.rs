//! Every option and every method does as rayon's own: the same closure runs against both.

mod building;
mod calling;
mod ending;
mod panicking;

/// Runs the body with `$builder` making builders of stock rayon, then of ours with budgets from
/// nothing to plenty, each under the watchdog, and compares the results.
macro_rules! both {
    ($what:literal, |$builder:ident| $body:expr) => {{
        let stock = crate::support::must_end(concat!($what, ", stock rayon"), move || {
            let $builder = rayon::ThreadPoolBuilder::new;
            $body
        });
        for tokens in [0, 1, 3, 40] {
            let ours =
                crate::support::must_end(&format!("{}, {tokens} tokens", $what), move || {
                    let jobserver = rayon_jobserver::Jobserver::new(tokens);
                    let $builder =
                        || rayon_jobserver::ThreadPoolBuilder::new().jobserver(jobserver.clone());
                    let outcome = $body;
                    crate::support::eventually("every token comes back", || jobserver.held() == 0);
                    outcome
                });
            assert_eq!(ours, stock, "{} with {tokens} tokens", $what);
        }
        stock
    }};
}
use both;
