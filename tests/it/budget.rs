//! Never more jobs at once than tokens + 1, and every job is done.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use rayon::prelude::*;

use crate::support::{Gauge, eventually, must_end, pool, tree, virtual_core};

const LEAF: Duration = Duration::from_micros(300);

/// Every way to use a pool, with as many jobs at once as it admits.
fn exercise(workers: usize, tokens: usize) {
    let gauge = Arc::new(Gauge::default());
    let pool = pool(workers, tokens);
    let (pool, gauge_ref) = (&pool, &*gauge);
    let wide = (workers.min(tokens + 1) * 3).max(8);
    let leaf = || gauge_ref.leaf(|| virtual_core(LEAF));

    assert_eq!(pool.install(|| tree(gauge_ref, LEAF, 5)), 32);
    pool.scope(|scope| (0..wide).for_each(|_| scope.spawn(|_| leaf())));
    pool.scope_fifo(|scope| (0..wide).for_each(|_| scope.spawn_fifo(|_| leaf())));
    pool.in_place_scope(|scope| (0..wide).for_each(|_| scope.spawn(|_| leaf())));
    pool.in_place_scope_fifo(|scope| (0..wide).for_each(|_| scope.spawn_fifo(|_| leaf())));
    pool.install(|| (0..wide).into_par_iter().with_max_len(1).for_each(|_| leaf()));
    assert_eq!(pool.broadcast(|context| (leaf(), context.index()).1).len(), workers);
    pool.install(|| pool.install(|| rayon::join(leaf, || pool.join(leaf, leaf))));
    let before = gauge.total();
    for _ in 0..wide {
        let gauge = Arc::clone(&gauge);
        pool.spawn(move || gauge.leaf(|| virtual_core(LEAF)));
    }
    let everywhere = Arc::clone(&gauge);
    pool.spawn_broadcast(move |_| everywhere.leaf(|| virtual_core(LEAF)));
    eventually("spawned jobs run", || gauge.total() == before + wide + workers);

    let most = gauge.most();
    assert!(most <= workers.min(tokens + 1), "{most} at once: {workers} workers, {tokens} tokens");
    assert_eq!(pool.stats().overcommits, 0);
    eventually("an idle pool holds no token", || pool.jobserver().held() == 0);
    assert_eq!(pool.jobserver().available().expect("a local budget can be counted"), tokens);
}

#[test]
fn budget_is_kept_from_1_to_256_workers_and_0_to_255_tokens() {
    for workers in [1, 2, 3, 5, 16, 48, 256] {
        for tokens in [0, 1, 2, 7, 15, 63, 255] {
            must_end(&format!("{workers} workers, {tokens} tokens"), move || {
                exercise(workers, tokens);
            });
        }
    }
}

#[test]
fn a_pool_is_as_wide_as_tokens_and_workers_allow() {
    for (workers, tokens) in [(1, 3), (2, 1), (4, 40), (4, 2), (16, 3), (16, 15)] {
        must_end(&format!("{workers} workers, {tokens} tokens"), move || {
            let (pool, width) = (pool(workers, tokens), workers.min(tokens + 1));
            let all = Barrier::new(width);
            pool.scope(|scope| (0..width).for_each(|_| scope.spawn(|_| _ = all.wait())));
            assert_eq!(pool.stats().peak, width);
        });
    }
}
