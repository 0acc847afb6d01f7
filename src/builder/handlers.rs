//! The user's handlers, with what must not be forgotten should they panic.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::Arc;

use crate::governor::StartHook;
use crate::jobserver::give_back_at_last;

pub(super) type PanicHandler = Arc<dyn Fn(Box<dyn Any + Send>) + Send + Sync>;

/// Passes panics on to the user's handler. Those that rayon aborts for, because there is no handler
/// or it panics itself, are passed on to rayon after the tokens have gone back.
pub(super) fn last_rites(
    handler: Option<PanicHandler>,
) -> impl Fn(Box<dyn Any + Send>) + Send + Sync {
    move |panic| {
        let outcome = match &handler {
            Some(handler) => panic::catch_unwind(AssertUnwindSafe(|| handler(panic))),
            None => Err(panic),
        };
        if let Err(fatal) = outcome {
            give_back_at_last();
            panic::resume_unwind(fatal);
        }
    }
}

/// A start handler that deals with its own panics as rayon would: after it, the worker must still
/// come to our gate.
pub(super) fn guarded(handler: StartHook, on_panic: Option<PanicHandler>) -> StartHook {
    Box::new(move |index| {
        let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| handler(index))) else { return };
        let Some(on_panic) = &on_panic else { panic::resume_unwind(panic) };
        if panic::catch_unwind(AssertUnwindSafe(|| on_panic(panic))).is_err() {
            give_back_at_last();
            // As in rayon. Passed on, it would only go to the same handler once more, and the
            // worker past our gate.
            process::abort();
        }
    })
}
