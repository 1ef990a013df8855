//! asyncio's tests of contexts, on tokio. A test that stands for one of CPython's has its name.
//!
//! | asyncio | here |
//! |---|---|
//! | `create_task(f())` | `task::spawn(f())` |
//! | `create_task(f(), context=ctx)` | `tokio::spawn(ctx.scope(f()))` |
//! | `task_group.create_task(f())` | `join_set.spawn(f().in_copied_context())` |
//! | `gather(f(), g())` | `join!(f().in_copied_context(), g().in_copied_context())` |
//! | `to_thread(f)` | `task::spawn_blocking(f)` |
//! | `run_in_executor(None, f)` | `tokio::task::spawn_blocking(f)` |
//! | `call_soon(f)`, `add_done_callback(f)` | hand on `move \|\| ctx.run(f)` |
//! | `Runner().run(f())` | `runtime.block_on(f())` |
//! | `asyncio.run(f())` | `runtime.block_on(f().in_copied_context())` |
//!
//! One context in two tasks at the same time, which asyncio allows, does not compile: `scope` takes the context by
//! value.

use contextvar::InContext as _;
use tokio::runtime::{Builder, Runtime};

/// Expands each function into two tests: on a current-thread runtime and on one with four workers.
macro_rules! on_both_flavors {
    ($run:ident: $($test:ident)*) => {$(
        mod $test {
            #[test]
            fn current_thread() {
                crate::asyncio::$run(tokio::runtime::Builder::new_current_thread(), super::$test);
            }

            #[test]
            fn multi_thread() {
                crate::asyncio::$run(tokio::runtime::Builder::new_multi_thread(), super::$test);
            }
        }
    )*};
}

mod awaiting;
mod callbacks;
mod runners;
mod tasks;

/// Runs the test as `asyncio.run` does, in a task with a context.
fn in_a_task<F>(mut runtime: Builder, test: fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = runtime.worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(runtime.spawn(test().in_copied_context())).unwrap();
}

fn on_the_thread(mut runtime: Builder, test: fn(&Runtime)) {
    test(&runtime.worker_threads(4).build().unwrap());
}
