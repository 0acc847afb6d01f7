//! Once rayon has been used, its global pool exists and is nobody's to gate.

use rayon_jobserver::{Jobserver, ThreadPoolBuilder, global};

#[expect(dead_code, reason = "shared with the other tests, which use the rest")]
#[path = "it/support.rs"]
mod support;

use support::must_end;

#[test]
fn a_global_pool_after_rayon_was_used_is_an_error() {
    must_end("building the global pool too late", || {
        assert_eq!(rayon::join(|| 1, || 2), (1, 2));

        let jobserver = Jobserver::new(2);
        let error = ThreadPoolBuilder::new().jobserver(jobserver.clone()).build_global();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("already been initialized"), "{error}");
        assert_eq!((jobserver.held(), jobserver.available().unwrap()), (0, 2));
        assert!(global::stats().is_none(), "the pool that exists is not ours");
        assert!(global::jobserver().is_none());

        // rayon goes on as it was, through our functions too.
        assert_eq!(rayon_jobserver::join(|| 1, || 2), (1, 2));
        let workers = rayon::current_num_threads();
        assert_eq!(rayon_jobserver::broadcast(|_| ()).len(), workers);
    });
}
