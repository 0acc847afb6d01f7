//! What is built beside rayon's own pool, and in which order.

use std::sync::{Arc, mpsc};
use std::thread;

use crate::adopted::Adopted;
use crate::gate::depth::{Attendant, Errand};
use crate::governor::{Driver, Governor, Post};
use crate::{BuildError, Jobserver};

/// What belongs to a pool beside rayon's own.
pub(super) struct Parts {
    pub(super) governor: Arc<Governor>,
    /// Where the governor's thread waits for its way into the pool.
    pub(super) thread: mpsc::SyncSender<Post>,
    pub(super) jobserver: Jobserver,
    /// The first worker, if that is this thread.
    pub(super) adopted: Option<Adopted>,
    pub(super) anchored: bool,
}

impl Parts {
    /// Runs rayon's part; should it fail, lets go of the threads it may have started.
    pub(super) fn prepared<T>(
        &self,
        build: impl FnOnce() -> Result<T, rayon_core::ThreadPoolBuildError>,
    ) -> Result<T, BuildError> {
        // Before any worker can come up, find the fund that is for this thread, and take it.
        if self.adopted.is_some() {
            self.governor.adopt_current_thread();
        } else if self.anchored {
            self.governor.anchor();
        }
        let mut unbuilt = Unbuilt(Some(&self.governor));
        let built = build().map_err(BuildError::rayon)?;
        unbuilt.0 = None;
        Ok(built)
    }

    /// Gives the governor's thread its way into the pool that has been built.
    pub(super) fn complete(
        self,
        post: impl Fn(Arc<dyn Attendant>, Errand) + Send + 'static,
    ) -> (Option<Adopted>, Arc<Governor>, Jobserver) {
        let governor = Arc::clone(&self.governor);
        // Received, for the thread waits for nothing else.
        let _ = self.thread.send(Box::new(move |errand| post(Arc::clone(&governor) as _, errand)));
        (self.adopted, self.governor, self.jobserver)
    }
}

/// Starts the governor's thread, which does nothing before it is given its way into the pool, and ends if it
/// is given none.
///
/// Before rayon's own threads: once rayon has built its global pool, nobody can take that back.
pub(super) fn start(driver: Driver) -> Result<mpsc::SyncSender<Post>, BuildError> {
    let (give, way_in) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name("rayon-governor".to_owned());
    let body = move || {
        if let Ok(post) = way_in.recv() {
            driver.run(post);
        }
    };
    thread.spawn(body).map_err(BuildError::thread)?;
    Ok(give)
}

/// Lets the threads go that have started for a pool that is not built: an error or a panic of the program's own
/// functions has come between. They would wait for ever.
struct Unbuilt<'a>(Option<&'a Arc<Governor>>);

impl Drop for Unbuilt<'_> {
    fn drop(&mut self) {
        self.0.into_iter().for_each(|governor| governor.abandon());
    }
}
