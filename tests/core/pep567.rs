//! PEP 567: CPython's own tests of `contextvars`.
//!
//! A test that stands for one in CPython 3.14's `Lib/test/test_context.py` has its name. Checks of the number
//! and the types of arguments are left out: rustc makes them.

use contextvar::Context;

mod contexts;
mod hamt;
mod reset_on_drop;
mod threads;
mod variables;

fn names(ctx: &Context) -> Vec<&'static str> {
    ctx.iter().map(|entry| entry.name()).collect()
}
