//! The ways to start a pool's threads, as rayon has them.

use std::{fmt, io};

use rayon_core::ThreadBuilder;

/// Starts a pool's threads as rayon does unless told otherwise.
#[derive(Debug, Default)]
pub struct DefaultSpawn(pub(super) ());

/// Starts a pool's threads by a function of the user's.
pub struct CustomSpawn<F>(pub(super) F);

impl<F> fmt::Debug for CustomSpawn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomSpawn(<closure>)")
    }
}

mod sealed {
    /// A way to start threads: hands a rayon builder over to rayon.
    #[expect(unnameable_types, reason = "as in rayon, the ways to start threads are a closed set")]
    pub trait Spawn {
        fn build(
            self,
            builder: rayon_core::ThreadPoolBuilder,
        ) -> Result<rayon_core::ThreadPool, rayon_core::ThreadPoolBuildError>;

        fn build_global(
            self,
            builder: rayon_core::ThreadPoolBuilder,
        ) -> Result<(), rayon_core::ThreadPoolBuildError>;
    }
}

pub(super) use sealed::Spawn;

impl Spawn for DefaultSpawn {
    fn build(
        self,
        builder: rayon_core::ThreadPoolBuilder,
    ) -> Result<rayon_core::ThreadPool, rayon_core::ThreadPoolBuildError> {
        builder.build()
    }

    fn build_global(
        self,
        builder: rayon_core::ThreadPoolBuilder,
    ) -> Result<(), rayon_core::ThreadPoolBuildError> {
        builder.build_global()
    }
}

impl<F: FnMut(ThreadBuilder) -> io::Result<()>> Spawn for CustomSpawn<F> {
    fn build(
        self,
        builder: rayon_core::ThreadPoolBuilder,
    ) -> Result<rayon_core::ThreadPool, rayon_core::ThreadPoolBuildError> {
        builder.spawn_handler(self.0).build()
    }

    fn build_global(
        self,
        builder: rayon_core::ThreadPoolBuilder,
    ) -> Result<(), rayon_core::ThreadPoolBuildError> {
        builder.spawn_handler(self.0).build_global()
    }
}
