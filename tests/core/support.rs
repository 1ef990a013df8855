//! Helpers for the test modules.

use std::fmt;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::thread;

/// Runs an async test on a current-thread runtime and on one with two workers, each in a new thread, whose
/// context is empty.
pub(crate) fn on_both_flavors<F: Future<Output = ()>>(test: impl Fn() -> F + Copy + Send + 'static) {
    let mut current = tokio::runtime::Builder::new_current_thread();
    let mut multi = tokio::runtime::Builder::new_multi_thread();
    multi.worker_threads(2);
    for builder in [&mut current, &mut multi] {
        let runtime = builder.enable_all().build().unwrap();
        let result = thread::spawn(move || runtime.block_on(test())).join();
        result.unwrap_or_else(|panic| panic::resume_unwind(panic));
    }
}

/// Runs a closure when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A list of events that any thread can add to.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn push(&self, line: impl fmt::Display) {
        self.0.lock().unwrap().push(line.to_string());
    }

    /// Returns and removes the events so far.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Returns the message of the panic that `f` ends with.
pub(crate) fn panic_text<R>(f: impl FnOnce() -> R) -> String {
    let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| drop(f()))) else { panic!("`f` did not panic") };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().expect("a panic message")).to_owned(),
    }
}
