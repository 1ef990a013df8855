//! The tests on contexts of CPython's asyncio suites, on both flavours of tokio's runtime.
//!
//! Left out: those of the pure-Python and the C `Task` apart (there is one here), and of `loop.call_soon` and
//! `call_later` as such (tokio has no callbacks; a callback carries a context by `move |x| ctx.run(|| f(x))`).

use std::sync::Arc;
use std::time::Duration;

use contextvar::{Context, InContext, ResetErrorKind, context_var, copy_context, task, with_copied_context};
use futures::future::join_all;
use tokio::runtime::Builder;
use tokio::sync::{Barrier, oneshot};
use tokio::task::{JoinSet, yield_now};

use crate::support::on_both_flavours;

#[context_var(name = "cvar")]
static CVAR: i64 = -1;

/// A task copies its creator's context, and what it sets is its own.
#[test]
fn context_1() {
    on_both_flavours(|| async {
        let (changed, on_change) = oneshot::channel();
        let subtask = task::spawn(async move {
            on_change.await.unwrap();
            assert_eq!(CVAR.get(), -1);
            CVAR.set(1);
        });
        CVAR.set(2);
        changed.send(()).unwrap();
        subtask.await.unwrap();
        assert_eq!(CVAR.get(), 2);
    });
}

/// What a callback sets is not seen by the task that registered it.
#[test]
fn context_2() {
    on_both_flavours(|| async {
        for n in 0..2 {
            CVAR.set(n);
            let mut ctx = copy_context();
            let callback = move || {
                ctx.run(|| {
                    CVAR.set(CVAR.get() + 100);
                    CVAR.get()
                })
            };
            let called = tokio::spawn(async { [callback].map(|mut callback| (callback(), callback())) });
            assert_eq!(called.await.unwrap(), [(n + 100, n + 200)]);
            assert_eq!(CVAR.get(), n);
            for i in 0..3 {
                CVAR.set(10 * i + n);
                yield_now().await;
                assert_eq!(CVAR.get(), 10 * i + n);
            }
        }
    });
}

/// A hundred tasks at once, each changing the variable.
#[test]
fn context_3() {
    on_both_flavours(|| async {
        let barrier = Arc::new(Barrier::new(100));
        let sub = |num: i64| {
            let barrier = barrier.clone();
            async move {
                for i in 0..10 {
                    CVAR.set(num + i);
                    // All have set theirs before any reads its own.
                    barrier.wait().await;
                    assert_eq!(CVAR.get(), num + i);
                }
            }
        };
        let tasks = (0..100).map(|num| task::spawn(sub(num * 7 % 11)));
        assert!(join_all(tasks).await.into_iter().all(|result| result.is_ok()));
        assert_eq!(CVAR.get(), -1);
    });
}

async fn coro(value: i64) {
    yield_now().await;
    CVAR.set(value);
}

/// `create_task(.., context=ctx)`, one after the other in one context (`context_4`, `_5` and `_6`).
#[test]
fn context_4() {
    on_both_flavours(|| async {
        let ctx = copy_context();
        assert_eq!(ctx.get(&CVAR), None);
        let ((), ctx) = tokio::spawn(ctx.scope(coro(1)).and_context()).await.unwrap();
        assert_eq!(ctx.get(&CVAR), Some(&1));
        let ((), ctx) = tokio::spawn(ctx.scope(coro(2)).and_context()).await.unwrap();
        assert_eq!(ctx.get(&CVAR), Some(&2));
        assert_eq!(CVAR.get(), -1);
    });
}

/// Two tasks in copies of one context.
#[test]
fn two_tasks_with_copies() {
    on_both_flavours(|| async {
        let ctx = Context::new().with(&CVAR, 1);
        let add = |n: i64| async move {
            for _ in 0..10 {
                let value = CVAR.get();
                yield_now().await;
                CVAR.set(value + n);
            }
            CVAR.get()
        };
        let first = tokio::spawn(ctx.clone().scope(add(1)));
        let second = tokio::spawn(ctx.clone().scope(add(10)));
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (11, 101));
        assert_eq!(ctx[&CVAR], 1);
    });
}

/// A task group whose tasks are given a context, or take a copy (`taskgroup_task_context`).
#[test]
fn taskgroup_task_context() {
    on_both_flavours(|| async {
        CVAR.set(7);
        let mut group = JoinSet::new();
        for n in 0..10 {
            let given = Context::new().with(&CVAR, 100 * n);
            group.spawn(async { CVAR.get() }.in_context(given));
            group.spawn(async { CVAR.get() }.in_copied_context());
        }
        CVAR.set(8);
        let mut seen = group.join_all().await;
        seen.sort_unstable();
        let mut expected: Vec<i64> = (0..10).flat_map(|n| [100 * n, 7]).collect();
        expected.sort_unstable();
        assert_eq!(seen, expected);
    });
}

/// `asyncio.to_thread` (`to_thread_contextvars`).
#[test]
fn to_thread_contextvars() {
    on_both_flavours(|| async {
        CVAR.set(3);
        let thread = task::spawn_blocking(|| {
            let seen = CVAR.get();
            CVAR.set(4);
            seen
        });
        assert_eq!((thread.await.unwrap(), CVAR.get()), (3, 3));
    });
}

/// A runner keeps its context from one run to the next (`run_keeps_context`): the thread's own.
#[test]
fn run_keeps_context() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.build().unwrap();
        let f = |value| async move {
            let old = CVAR.get();
            yield_now().await;
            CVAR.set(value);
            old
        };
        let thread = std::thread::spawn(move || {
            assert_eq!(runtime.block_on(f(1)), -1);
            assert_eq!(runtime.block_on(f(2)), 1);
            assert_eq!(runtime.block_on(async { copy_context() })[&CVAR], 2);
            // One with a context of its own, as `Runner.run(.., context=ctx)`.
            let ctx = Context::new().with(&CVAR, 10);
            let (old, ctx) = runtime.block_on(ctx.scope(f(11)).and_context());
            assert_eq!((old, ctx[&CVAR], CVAR.get()), (10, 11, 2));
        });
        thread.join().unwrap();
    }
}

/// Within a task, awaits, `join!` and `select!` share one context.
#[test]
fn one_task_has_one_context() {
    on_both_flavours(|| async {
        task::spawn(async {
            coro(1).await;
            assert_eq!(CVAR.get(), 1);
            let (first, second) = tokio::join!(
                async {
                    CVAR.set(2);
                    yield_now().await;
                    CVAR.get()
                },
                async { CVAR.get() }
            );
            // The second ran while the first waited.
            assert_eq!((first, second), (2, 2));
            tokio::select! {
                biased;
                () = async { CVAR.set(3); std::future::pending().await } => {}
                () = coro(4) => {}
            }
            assert_eq!(CVAR.get(), 4);
        })
        .await
        .unwrap();
    });
}

/// A token made in one task is not good in another, be it in a copy of the same context.
#[test]
fn a_token_crosses_no_task() {
    on_both_flavours(|| async {
        let token = CVAR.set(1);
        let error = task::spawn(async { CVAR.try_reset(token) }).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ResetErrorKind::DifferentContext);
        CVAR.reset(error.into_token());
        assert!(!CVAR.is_set());
    });
}

/// What runs out of time has set what it has set, if it ran in this context.
#[test]
fn timeout_shares_the_context() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let slow = || async {
            CVAR.set(CVAR.get() + 10);
            std::future::pending::<()>().await;
        };
        CVAR.set(1);
        assert!(tokio::time::timeout(Duration::from_secs(1), slow()).await.is_err());
        assert_eq!(CVAR.get(), 11);
        let apart = tokio::time::timeout(Duration::from_secs(1), slow().in_copied_context());
        assert!(apart.await.is_err());
        assert_eq!(CVAR.get(), 11);
    });
}

/// The trap of the article: `await copy.run(f)`, and its cure.
#[test]
fn awaiting_what_run_made() {
    #[with_copied_context]
    async fn annotated(value: i64) {
        coro(value).await;
    }

    on_both_flavours(|| async {
        CVAR.set(1);
        let mut ctx = copy_context();
        ctx.run(|| coro(2)).await;
        assert_eq!((CVAR.get(), ctx[&CVAR]), (2, 1));
        ctx.run(|| annotated(3)).await;
        assert_eq!((CVAR.get(), ctx[&CVAR]), (2, 1));
        let ((), ctx) = tokio::spawn(ctx.scope(coro(4)).and_context()).await.unwrap();
        assert_eq!((CVAR.get(), ctx[&CVAR]), (2, 4));
    });
}
