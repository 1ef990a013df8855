//! Local sets, local runtimes, blocking calls and several runtimes in one process.

use std::future::pending;
use std::sync::Arc;

use contextvar::runtime::InheritContext;
use contextvar::{Context, task};
use tokio::runtime::{LocalOptions, Runtime};
use tokio::sync::Barrier;
use tokio::task::{LocalSet, yield_now};

use super::{USER, current_thread, multi_thread, on_all, with};

#[test]
fn local_set_tasks_inside_a_task_have_no_context() {
    let runtime = current_thread().inherit_context().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let task = tokio::task::spawn_local(async {
            USER.set("ada".to_owned());
            let local = LocalSet::new();
            let plain = local.spawn_local(async {
                yield_now().await;
                (USER.try_get().is_err(), USER.try_set("nobody".to_owned()).is_err())
            });
            let plain = local.run_until(async { plain.await.unwrap() }).await;
            assert_eq!((plain, USER.get().as_str()), ((true, true), "ada"));
        });
        task.await.unwrap();
    });
}

#[test]
fn a_local_runtime_inherits() {
    let held = Arc::new(());
    let runtime = current_thread().inherit_context().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(with(&held).scope(async {
        let local = std::rc::Rc::new(7);
        let task = tokio::task::spawn_local(async move {
            USER.set(format!("{} {local}", USER.get()));
            yield_now().await;
            let inner = tokio::task::spawn_local(async { USER.get() });
            let sent = tokio::spawn(async { USER.get() });
            (inner.await.unwrap(), sent.await.unwrap())
        });
        assert_eq!(task.await.unwrap(), ("ada 7".to_owned(), "ada 7".to_owned()));
        assert_eq!(USER.get(), "ada");
        tokio::task::spawn_local(pending::<()>());
    }));
    drop(runtime);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn blocking_calls_and_local_sets_have_no_hooks() {
    on_all(|| async {
        USER.set("ada".to_owned());
        tokio::task::spawn_blocking(|| {
            assert!(!USER.is_set());
            assert!(USER.try_set("nobody".to_owned()).is_err());
        })
        .await
        .unwrap();
        task::spawn_blocking(|| assert_eq!(USER.get(), "ada")).await.unwrap();

        let local = LocalSet::new();
        local
            .run_until(async {
                let plain = tokio::task::spawn_local(async { USER.try_set("nobody".to_owned()).is_err() });
                let own = task::spawn_local(async { USER.get() });
                assert_eq!((plain.await.unwrap(), own.await.unwrap()), (true, "ada".to_owned()));
            })
            .await;
        assert_eq!(USER.get(), "ada");
    });
}

#[test]
fn a_runtime_inside_block_in_place() {
    let runtime = multi_thread(2).inherit_context().build().unwrap();
    runtime.block_on(async {
        let task = USER.sync_scope("ada".to_owned(), || {
            tokio::spawn(async {
                tokio::task::block_in_place(|| {
                    assert_eq!(USER.get(), "ada");
                    let inner = current_thread().inherit_context().build().unwrap();
                    let text = inner.block_on(async {
                        let task = tokio::spawn(async {
                            USER.set("inner".to_owned());
                            yield_now().await;
                            USER.get()
                        });
                        format!("{} in {}", task.await.unwrap(), USER.get())
                    });
                    assert_eq!(text, "inner in ada");
                    USER.set("after".to_owned());
                });
                yield_now().await;
                USER.get()
            })
        });
        assert_eq!(task.await.unwrap(), "after");
    });
}

#[test]
fn runtimes_with_and_without_hooks_side_by_side() {
    let plain: Runtime = multi_thread(1).build().unwrap();
    let hooked = multi_thread(1).inherit_context().build().unwrap();
    let barrier = Arc::new(Barrier::new(2));
    Context::new().with_value(&USER, "ada".to_owned()).run(|| {
        let there = plain.spawn({
            let barrier = barrier.clone();
            async move {
                barrier.wait().await;
                assert!(!USER.is_set());
            }
        });
        let here = hooked.spawn(async move {
            barrier.wait().await;
            assert_eq!(USER.get(), "ada");
        });
        hooked.block_on(async {
            there.await.unwrap();
            here.await.unwrap()
        });
    });
}
