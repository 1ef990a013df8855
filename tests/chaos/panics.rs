//! Panics that the test raises deliberately. They bypass the panic hook, which counts all others as failed
//! checks.

use std::any::Any;
use std::panic::resume_unwind;

use tokio::task::JoinError;

use crate::counts::DELIBERATE_PANICS;

const DELIBERATE: &str = "deliberate";

pub(crate) fn panic_deliberately() -> ! {
    DELIBERATE_PANICS.add_one();
    resume_unwind(Box::new(DELIBERATE))
}

/// Resumes a panic that was not deliberate.
pub(crate) fn assert_deliberate(panic: Box<dyn Any + Send>) {
    if panic.downcast_ref::<&str>() != Some(&DELIBERATE) {
        resume_unwind(panic);
    }
}

/// Accepts a task that has ended, was aborted or panicked deliberately.
pub(crate) fn assert_joined(result: Result<(), JoinError>) {
    match result {
        Err(error) if error.is_panic() => assert_deliberate(error.into_panic()),
        _ => {}
    }
}
