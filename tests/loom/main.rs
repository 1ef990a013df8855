//! Runs the library's code that uses atomics and locks in all interleavings that its threads allow.
//!
//! The library's own files are included here: the storage, the defaults of variables, and the ownership of
//! task contexts. They get loom's primitives from [`sync`](mod@sync). What remains is modeled, because it
//! can't run under loom:
//!
//! - The frames of contexts, and the list of the task contexts that a thread has entered, are thread-locals
//!   of std. All threads of a loom model run on one thread of the system and would share them.
//! - tokio's promises about tasks: one thread at a time runs a task, and each poll happens before the next
//!   one.
//! - The statics `registry::SHOWN` and `BATCHES` of context identities stay plain atomics. A list item is
//!   published with one release store, under the registry's lock; a batch is taken with a single `fetch_add`.

mod context_ownership;
mod defaults;
mod log;
mod slots;
mod storage;
mod sync;

#[path = "../../contextvar/src/on_drop.rs"]
mod on_drop;

mod current {
    use std::sync::atomic::{AtomicUsize, Ordering};

    static LAST: AtomicUsize = AtomicUsize::new(1);

    loom::thread_local! {
        static NUMBER: usize = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    }

    /// As in the library: a number that no other thread has, neither 0 nor 1.
    pub(crate) fn this_thread() -> usize {
        NUMBER.with(|number| *number)
    }
}
