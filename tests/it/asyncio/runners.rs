//! Tests of `asyncio.Runner` and `asyncio.run`.

use contextvar::{Context, InContext as _, context_var, copy_context, task};
use tokio::runtime::Runtime;
use tokio::task::{LocalSet, yield_now};

on_both_flavors! {
    on_the_thread:
    test_run_keeps_context runner_with_a_context local_tasks
}

/// A future passed to `block_on` uses the thread's context, as a runner keeps one context for all its runs.
fn test_run_keeps_context(runtime: &Runtime) {
    #[context_var]
    static VAR: i32 = -1;

    async fn replace(value: i32) -> i32 {
        let old = VAR.get();
        yield_now().await;
        VAR.set(value);
        old
    }

    assert_eq!(runtime.block_on(replace(1)), -1);
    assert_eq!(runtime.block_on(replace(2)), 1);
    assert_eq!(runtime.block_on(async { copy_context() })[&VAR], 2);
    assert_eq!(VAR.get(), 2);

    // `asyncio.run` discards its context.
    assert_eq!(runtime.block_on(replace(3).in_copied_context()), 2);
    assert_eq!(VAR.get(), 2);
}

/// Stands for `Runner.run(f(), context=ctx)`.
fn runner_with_a_context(runtime: &Runtime) {
    #[context_var]
    static VAR: u32 = 0;

    let add = |value| async move { VAR.set(VAR.get() + value) };
    VAR.set(1);
    let ctx = Context::new().with_value(&VAR, 10);
    let (_, ctx) = runtime.block_on(ctx.scope(add(10)).and_context());
    let (_, ctx) = runtime.block_on(ctx.scope(add(10)).and_context());
    assert_eq!((ctx[&VAR], VAR.get()), (30, 1));
}

fn local_tasks(runtime: &Runtime) {
    #[context_var]
    static VAR: u32 = 0;

    VAR.set(1);
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        let tasks = [10, 20].map(|value| {
            VAR.set(value);
            task::spawn_local(async {
                VAR.set(VAR.get() + 1);
                yield_now().await;
                VAR.get()
            })
        });
        let [first, second] = tasks;
        assert_eq!((first.await.unwrap(), second.await.unwrap(), VAR.get()), (11, 21, 20));
    }));
    assert_eq!(VAR.get(), 20);
}
