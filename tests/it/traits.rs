//! What users may rely on in any type without reading its fields.

use std::error::Error;
use std::fmt::Debug;

use rayon_jobserver::{BuildError, Jobserver, JobserverError, Monitor, Stats, ThreadPool};

fn is_shared<T: Send + Sync + Debug + 'static>() {}
fn is_error<T: Error + Send + Sync + 'static>() {}

#[test]
fn pools_jobservers_and_errors_go_from_thread_to_thread() {
    is_shared::<ThreadPool>();
    is_shared::<Jobserver>();
    is_shared::<Monitor<u8>>();
    is_shared::<Stats>();
    is_error::<BuildError>();
    is_error::<JobserverError>();
}
