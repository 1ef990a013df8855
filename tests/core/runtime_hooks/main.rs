//! Runtimes with hooks, whose every task inherits a context. To run these tests:
//! `RUSTFLAGS="--cfg tokio_unstable" cargo test -p contextvar-tests-core --test runtime_hooks`.
#![cfg(tokio_unstable)]

use std::sync::Arc;
use std::{panic, thread};

use contextvar::runtime::InheritContext;
use contextvar::{Context, context_var};
use tokio::runtime::Builder;
use tokio::task::yield_now;

mod inheritance;
mod other_contexts;
mod own_hooks;
mod panics;
mod selection;
mod shutdown;

#[context_var]
static USER: String;

#[context_var]
static NUMBER: u64 = 0;

#[context_var]
static HELD: Arc<()>;

#[context_var(inherit = false)]
static TRANSACTION: u64;

fn current_thread() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    builder
}

fn multi_thread(workers: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all();
    builder
}

/// Returns builders for both flavors, with one, two and four workers.
fn all() -> Vec<Builder> {
    if cfg!(miri) {
        return vec![current_thread(), multi_thread(2)];
    }
    vec![current_thread(), multi_thread(1), multi_thread(2), multi_thread(4)]
}

/// Runs a test on each of these runtimes, in a thread of its own.
fn on_all<F: Future<Output = ()>>(test: impl Fn() -> F + Copy + Send + 'static) {
    for mut builder in all() {
        let run = move || builder.inherit_context().build().unwrap().block_on(test());
        thread::spawn(run).join().unwrap_or_else(|panic| panic::resume_unwind(panic));
    }
}

/// Waits until no other reference to `held` exists: a task's context is dropped shortly after the task has
/// ended.
async fn until_released(held: &Arc<()>) {
    while Arc::strong_count(held) > 1 {
        yield_now().await;
    }
}

fn with(held: &Arc<()>) -> Context {
    Context::new().with_value(&USER, "ada".to_owned()).with_value(&HELD, held.clone())
}
