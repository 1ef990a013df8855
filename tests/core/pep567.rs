//! PEP 567: the behaviour that CPython's own tests of `contextvars` pin down.
//!
//! A test that stands for one in CPython 3.14's `Lib/test/test_context.py` has its name. What those check
//! of the number and the types of arguments is rustc's to check here, and not repeated.

use std::panic::{AssertUnwindSafe, catch_unwind};

use contextvar::Context;

mod contexts;
mod hamt;
mod reset_on_drop;
mod threads;
mod variables;

/// The message of the panic that `f` ends with.
fn panic_message<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("this should have panicked") };
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

fn names(ctx: &Context) -> Vec<&'static str> {
    ctx.iter().map(|entry| entry.name()).collect()
}
