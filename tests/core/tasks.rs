//! Which context a tokio task has, and what it can do with another task's (rule 9).

use contextvar::{Context, LookupErrorKind, ResetErrorKind, WriteErrorKind, context_var, copy_context, task};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{LocalSet, yield_now};

use crate::support::{on_both_flavors, panic_text};

#[context_var]
static NUMBER: u64;

#[context_var]
static DEFAULTED: u64 = 7;

const NO_CONTEXT: &str = "this tokio task has no context of its own";
const OTHER_TASK: &str = "this tokio task is polled inside the context of another";

/// Asserts what a task without a context can do, wherever it runs.
fn assert_no_context() {
    assert!(!NUMBER.is_set());
    assert_eq!(NUMBER.try_get().unwrap_err().kind(), LookupErrorKind::NoContext);
    assert_eq!(NUMBER.get_or(3), 3);
    assert_eq!(DEFAULTED.get(), 7);
    assert!(copy_context().is_empty());
    let error = NUMBER.try_set(5).unwrap_err();
    assert!(error.to_string().contains(NO_CONTEXT), "{error}");
    assert_eq!(error.kind(), WriteErrorKind::NoContext);
    assert_eq!(error.into_value(), 5);
    assert!(panic_text(|| NUMBER.set(5)).contains(NO_CONTEXT));
    let mut called = false;
    assert!(panic_text(|| NUMBER.sync_scope(5, || called = true)).contains(NO_CONTEXT));
    assert!(!called);
    assert!(!NUMBER.is_set());
}

/// Asserts what a task can do while it is polled inside a context that is not its own, where the number is 1.
fn assert_foreign() {
    assert_eq!(NUMBER.get(), 1);
    assert_eq!(copy_context()[&NUMBER], 1);
    let error = NUMBER.try_set(5).unwrap_err();
    assert!(error.to_string().contains(OTHER_TASK), "{error}");
    assert_eq!(error.kind(), WriteErrorKind::OtherTask);
    assert_eq!(error.into_value(), 5);
    assert!(panic_text(|| NUMBER.sync_scope(5, || ())).contains(OTHER_TASK));
    // A copy of that context can be written.
    copy_context().run(|| {
        NUMBER.set(6);
        assert_eq!(NUMBER.get(), 6);
    });
    assert_eq!(NUMBER.get(), 1);
}

#[test]
fn block_on_uses_the_thread_context() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.build().unwrap();
        NUMBER.set(1);
        runtime.block_on(async {
            assert_eq!(NUMBER.get(), 1);
            yield_now().await;
            NUMBER.set(2);
        });
        assert_eq!(NUMBER.get(), 2);
    }
}

#[test]
fn a_task_given_no_context_has_none() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        tokio::spawn(async {
            assert_no_context();
            yield_now().await;
            assert_no_context();
            // The task can create contexts and write to them.
            let mut ctx = copy_context();
            ctx.run(|| NUMBER.set(4));
            ctx.scope(async { NUMBER.set(NUMBER.get() + 1) }).await;
            DEFAULTED.scope(8, async { assert_eq!(DEFAULTED.get(), 8) }).await;
            assert_no_context();
        })
        .await
        .unwrap();
        tokio::task::spawn_blocking(assert_no_context).await.unwrap();
        LocalSet::new()
            .run_until(async { tokio::task::spawn_local(async { assert_no_context() }).await.unwrap() })
            .await;
        assert_eq!(NUMBER.get(), 1);
    });
}

/// With plain thread-locals, one task's value would be seen by the next task on the same worker.
#[test]
fn no_value_leaks_through_a_shared_worker_thread() {
    const ROUNDS: u64 = if cfg!(miri) { 3 } else { 100 };

    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(1).build().unwrap();
        runtime.block_on(async {
            for n in 0..ROUNDS {
                let scoped = tokio::spawn(Context::new().with_value(&NUMBER, n).scope(async {
                    NUMBER.set(NUMBER.get() + 1);
                    yield_now().await;
                    NUMBER.set(NUMBER.get() + 1);
                    NUMBER.get()
                }));
                let plain = tokio::spawn(async {
                    assert_no_context();
                    yield_now().await;
                    assert_no_context();
                });
                assert_eq!(scoped.await.unwrap(), n + 2);
                plain.await.unwrap();
            }
        });
    }
}

#[test]
fn a_worker_thread_value_is_not_seen_by_its_tasks() {
    const ROUNDS: usize = if cfg!(miri) { 2 } else { 20 };

    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start(|| drop(NUMBER.set(66)))
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..ROUNDS {
            tokio::spawn(async { assert_no_context() }).await.unwrap();
            tokio::task::spawn_blocking(assert_no_context).await.unwrap();
        }
    });
}

#[test]
fn a_local_set_in_a_scope_can_read_it_but_not_write_it() {
    on_both_flavors(|| async {
        let local = LocalSet::new();
        let (token_out, token_in) = oneshot::channel();
        let task = local.spawn_local(async {
            let token = token_in.await.unwrap();
            assert_foreign();
            yield_now().await;
            assert_foreign();
            // Seen from this task, a token made in the surrounding context belongs to a different one.
            let error = NUMBER.try_reset(token).unwrap_err();
            assert_eq!(error.kind(), ResetErrorKind::DifferentContext);
            error.into_token()
        });
        let scope = Context::new().scope(async {
            assert!(token_out.send(NUMBER.set(1)).is_ok());
            let token = local.run_until(task).await.unwrap();
            assert_eq!(NUMBER.get(), 1);
            NUMBER.reset(token);
            assert!(!NUMBER.is_set());
        });
        scope.await;
    });
}

#[test]
fn a_local_task_with_its_own_context_can_write_it() {
    on_both_flavors(|| async {
        let scope = Context::new().with_value(&NUMBER, 1).scope(async {
            let local = LocalSet::new();
            let task = async {
                NUMBER.set(NUMBER.get() + 1);
                yield_now().await;
                NUMBER.set(NUMBER.get() + 1);
                NUMBER.get()
            };
            let number = local.run_until(async { task::spawn_local(task).await.unwrap() }).await;
            assert_eq!((number, NUMBER.get()), (3, 1));
        });
        scope.await;
    });
}

#[test]
fn tasks_polled_by_block_on_inside_run_can_read_but_not_write() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let mut ctx = Context::new();
    ctx.run(|| {
        NUMBER.set(1);
        runtime.block_on(async {
            tokio::spawn(async {
                assert_foreign();
                yield_now().await;
                assert_foreign();
            })
            .await
            .unwrap();
            // The future passed to `block_on` itself runs in `ctx`.
            NUMBER.set(2);
        });
    });
    assert_eq!(ctx[&NUMBER], 2);
}

#[test]
fn block_on_in_a_blocking_call_uses_its_context() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let handle = Handle::current();
        let inner = move || {
            handle.block_on(async {
                yield_now().await;
                NUMBER.set(NUMBER.get() + 1);
                NUMBER.get()
            })
        };
        assert_eq!(task::spawn_blocking(inner).await.unwrap(), 2);
        assert_eq!(NUMBER.get(), 1);
    });
}

#[test]
fn a_task_dropped_in_another_context_cannot_write_it() {
    use crate::support::{Log, OnDrop};

    let log = Log::default();
    let note = log.clone();
    let on_drop = OnDrop(move || {
        let seen = NUMBER.get_or(0);
        note.push(format!("sees {seen}, sets {}", NUMBER.try_set(9).is_ok()));
    });
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.spawn(async move {
        let _on_drop = on_drop;
        std::future::pending::<()>().await;
    });
    runtime.block_on(yield_now());
    let mut ctx = Context::new().with_value(&NUMBER, 1);
    ctx.run(move || drop(runtime));
    assert_eq!(log.take(), ["sees 1, sets false"]);
    assert_eq!(ctx[&NUMBER], 1);
}

#[test]
fn a_local_runtime_behaves_the_same() {
    let runtime = tokio::runtime::LocalRuntime::new().unwrap();
    NUMBER.set(1);
    runtime.block_on(async {
        tokio::task::spawn_local(async { assert_no_context() }).await.unwrap();
        let task = task::spawn_local(async {
            NUMBER.set(NUMBER.get() + 1);
            NUMBER.get()
        });
        assert_eq!(task.await.unwrap(), 2);
    });
    assert_eq!(NUMBER.get(), 1);
}

/// After a panic in a poll, the next task on the worker thread sees none of the task's values.
#[test]
fn a_panic_leaves_nothing_on_the_worker_thread() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let panics = tokio::spawn(Context::new().with_value(&NUMBER, 1).scope(async {
                NUMBER.set(2);
                yield_now().await;
                panic!("on purpose");
            }));
            assert!(panics.await.unwrap_err().is_panic());
            let seen = tokio::spawn(async { (NUMBER.try_get().ok(), copy_context().len()) });
            assert_eq!(seen.await.unwrap(), (None, 0));
            let scoped = tokio::spawn(Context::new().scope(async { NUMBER.try_get().ok() }));
            assert_eq!(scoped.await.unwrap(), None);
        });
    }
}
