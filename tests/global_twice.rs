//! The global pool is built once; a second attempt leaves no trace.

use std::error::Error;

use rayon_jobserver::{Jobserver, ThreadPoolBuilder, global};

#[expect(dead_code, reason = "shared with the other tests, which use the rest")]
#[path = "it/support.rs"]
mod support;

use support::{eventually, must_end};

#[test]
fn a_second_global_pool_is_an_error() {
    must_end("building the global pool twice", || {
        let first = Jobserver::new(1);
        let builder = || ThreadPoolBuilder::new().num_threads(3);
        builder().jobserver(first.clone()).build_global().expect("the first");

        let second = Jobserver::new(2);
        let error = builder().jobserver(second.clone()).build_global().unwrap_err();
        let stock = rayon::ThreadPoolBuilder::new().build_global().unwrap_err();
        assert_eq!(error.source().map(ToString::to_string), Some(stock.to_string()));
        assert!(error.to_string().contains(&stock.to_string()), "{error}");
        assert_eq!((second.held(), second.available().unwrap()), (0, 2));
        // Its own slot is free as well, so that a pool runs on it.
        let pool = builder().jobserver(second).build().expect("not global");
        assert_eq!(pool.install(|| 42), 42);

        // The first goes on.
        assert_eq!(rayon::join(rayon::current_num_threads, || 2), (3, 2));
        assert_eq!(rayon::broadcast(|context| context.index()), [0, 1, 2]);
        eventually("an idle pool holds no token", || first.held() == 0);
        assert!(global::stats().is_some_and(|stats| stats.peak <= 2));
    });
}
