//! The context variables, with values and defaults that panic now and then.

use std::sync::atomic::{AtomicBool, Ordering};

use contextvar::{ContextVar, context_var, copy_context};

use crate::counts::{Count, VALUES_DROPPED, VALUES_DROPPED_TWICE, VALUES_MADE};
use crate::panics::panic_deliberately;

#[context_var]
pub(crate) static NUMBER: u64;
#[context_var]
pub(crate) static TEXT: String = "default".to_owned();
#[context_var]
pub(crate) static COUNTED: Counted;
#[context_var(inherit = false)]
pub(crate) static NOT_INHERITED: u64;

/// Each default panics until one computation succeeds: one in three does.
pub(crate) static FLAKY: [ContextVar<u64>; 200] =
    [const { ContextVar::with_default("flaky", flaky_default) }; 200];
/// The default always panics.
pub(crate) static BROKEN: ContextVar<u64> = ContextVar::with_default("broken", || panic_deliberately());

fn flaky_default() -> u64 {
    static CALLS: Count = Count::new();

    CALLS.add_one();
    if CALLS.get() % 3 == 0 { 7 } else { panic_deliberately() }
}

/// A value that counts itself, reads and writes variables when it is dropped, and can panic in `Clone` and
/// `Drop`.
pub(crate) struct Counted {
    pub(crate) n: u64,
    alive: AtomicBool,
}

impl Counted {
    pub(crate) fn new(n: u64) -> Self {
        VALUES_MADE.add_one();
        Counted { n, alive: AtomicBool::new(true) }
    }

    /// Returns a number close to `n` for which neither `Clone` nor `Drop` panics.
    pub(crate) fn number_without_panics(n: u64) -> u64 {
        n / 16 * 16
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        if self.n % 16 == 1 {
            panic_deliberately();
        }
        Counted::new(self.n)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.alive.swap(false, Ordering::Relaxed) {
            VALUES_DROPPED_TWICE.add_one();
        }
        VALUES_DROPPED.add_one();
        let _ = (TEXT.with(String::len), NUMBER.get_or(0));
        copy_context().run(|| drop(NUMBER.set(self.n)));
        if self.n % 16 == 2 && !std::thread::panicking() {
            panic_deliberately();
        }
    }
}
