//! Tasks inherit a copy of the spawning context, and drop it at their end.

use std::future::pending;
use std::panic;
use std::sync::Arc;

use contextvar::runtime::InheritContext;
use contextvar::{Context, ContextVar, InContext, context_var, copy_context, task, with_copied_context};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};

use super::{HELD, NUMBER, TRANSACTION, USER, multi_thread, on_all, until_released, with};

#[test]
fn a_plain_spawn_inherits_a_copy_taken_at_the_call() {
    on_all(|| async {
        USER.set("ada".to_owned());
        let task = tokio::spawn(async {
            assert_eq!(USER.get(), "ada");
            USER.set("grace".to_owned());
            yield_now().await;
            assert_eq!(USER.get(), "grace");
            let token = NUMBER.set(1);
            yield_now().await;
            NUMBER.reset(token);
            USER.get()
        });
        USER.set("later".to_owned());
        assert_eq!(task.await.unwrap(), "grace");
        assert_eq!(USER.get(), "later");
        // A task spawned in an empty context still has its own.
        let task = Context::new().run(|| tokio::spawn(async { NUMBER.set(7).old_value().is_none() }));
        assert!(task.await.unwrap());
    });
}

#[test]
fn overlapping_tasks_are_isolated() {
    const LIVES: usize = if cfg!(miri) { 4 } else { 200 };
    const STEPS: u64 = if cfg!(miri) { 4 } else { 20 };

    async fn live(n: u64) {
        assert_eq!(NUMBER.get(), n);
        for step in 1..STEPS {
            NUMBER.set(n + step);
            yield_now().await;
            assert_eq!(NUMBER.get(), n + step);
        }
        let inner = tokio::spawn(async move {
            assert_eq!(NUMBER.get(), n + STEPS - 1);
            NUMBER.set(0);
            yield_now().await;
            let innermost = tokio::spawn(async { NUMBER.get() });
            assert_eq!(innermost.await.unwrap(), 0);
        });
        inner.await.unwrap();
        assert_eq!(NUMBER.get(), n + STEPS - 1);
    }

    on_all(|| async {
        let mut set = JoinSet::new();
        for n in (0..).step_by(100).take(LIVES) {
            NUMBER.sync_scope(n, || set.spawn(live(n)));
        }
        set.join_all().await;
        assert_eq!(NUMBER.get(), 0);
    });
}

#[test]
fn scopes_and_attributes_work_under_hooks() {
    #[with_copied_context(NUMBER = n)]
    async fn annotated(n: u64) -> u64 {
        yield_now().await;
        NUMBER.get()
    }

    on_all(|| async {
        let task = tokio::spawn(async {
            NUMBER.set(1);
            assert_eq!(annotated(2).await, 2);
            let (a, b) = tokio::join!(
                annotated(3),
                NUMBER.scope(4, async {
                    yield_now().await;
                    NUMBER.get()
                })
            );
            assert_eq!((a, b, NUMBER.get()), (3, 4, 1));
            let own = task::spawn(async { NUMBER.get() }).await.unwrap();
            let given = Context::new().with_value(&NUMBER, 5);
            let given = tokio::spawn(async { NUMBER.get() }.in_context(given)).await.unwrap();
            let detached = task::spawn_in_empty_context(async { NUMBER.get() }).await.unwrap();
            assert_eq!((own, given, detached), (1, 5, 0));
        });
        task.await.unwrap();
    });
}

#[test]
fn variables_that_are_not_inherited_are_absent() {
    on_all(|| async {
        TRANSACTION.set(1);
        let task = tokio::spawn(async {
            assert!(!TRANSACTION.is_set());
            TRANSACTION.set(2);
            yield_now().await;
            TRANSACTION.get()
        });
        assert_eq!((task.await.unwrap(), TRANSACTION.get()), (2, 1));
    });
}

#[test]
fn many_concurrent_tasks_on_many_workers() {
    // One in four tasks never ends.
    const LIVES: u64 = if cfg!(miri) { 8 } else { 2000 };
    const STEPS: u64 = if cfg!(miri) { 3 } else { 10 };

    let held = Arc::new(());
    let runtime = multi_thread(4).inherit_context().build().unwrap();
    runtime.block_on(with(&held).scope(async {
        let mut set = JoinSet::new();
        for n in 0..LIVES {
            NUMBER.sync_scope(n, || {
                set.spawn(async move {
                    for step in 0..STEPS {
                        assert_eq!(NUMBER.get(), n + step);
                        NUMBER.set(n + step + 1);
                        // Another thread wakes this task immediately, sometimes before its poll has ended.
                        let (sender, receiver) = oneshot::channel();
                        tokio::spawn(async move { sender.send(NUMBER.get()).unwrap() });
                        assert_eq!(receiver.await.unwrap(), n + step + 1);
                    }
                    match n % 4 {
                        0 => panic!("on purpose"),
                        1 => pending().await,
                        _ => (),
                    }
                })
            });
        }
        for _ in 0..LIVES / 4 * 3 {
            if let Err(error) = set.join_next().await.unwrap() {
                assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "on purpose");
            }
        }
        set.shutdown().await;
    }));
    drop(runtime);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn many_variables() {
    const COUNT: usize = if cfg!(miri) { 40 } else { 200 };

    let vars: Vec<&'static ContextVar<usize>> =
        (0..COUNT).map(|_| &*Box::leak(Box::new(ContextVar::new("one of many")))).collect();
    let runtime = multi_thread(2).inherit_context().build().unwrap();
    runtime.block_on(async {
        for (n, var) in vars.iter().enumerate() {
            var.set(n);
        }
        let task = tokio::spawn(async move {
            for (n, var) in vars.iter().enumerate() {
                assert_eq!(var.get(), n);
                var.set(n + 1);
                yield_now().await;
            }
            copy_context().len()
        });
        assert_eq!(task.await.unwrap(), COUNT);
    });
}

#[test]
fn a_task_that_ends_drops_its_context() {
    on_all(|| async {
        let held = Arc::new(());
        let ctx = with(&held);

        // Finished, with the handle kept and with the handle dropped.
        let kept = ctx.clone().run(|| {
            tokio::spawn(async {
                yield_now().await;
                HELD.is_set()
            })
        });
        ctx.clone().run(|| drop(tokio::spawn(async { yield_now().await })));
        // Aborted while it waits.
        let (started, starts) = oneshot::channel();
        let aborted = ctx.clone().run(|| {
            tokio::spawn(async {
                let (here, there) = (HELD.get(), HELD.get());
                started.send(()).unwrap();
                pending::<()>().await;
                drop((here, there));
            })
        });
        starts.await.unwrap();
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        // Aborted before or during its first poll.
        let never = ctx.clone().run(|| tokio::spawn(pending::<()>()));
        never.abort();
        assert!(never.await.unwrap_err().is_cancelled());
        // Panicked.
        let panicked = ctx.clone().run(|| tokio::spawn(async { assert!(!USER.is_set(), "{}", USER.get()) }));
        let text = panicked.await.unwrap_err().into_panic();
        assert_eq!(*text.downcast::<String>().unwrap(), "ada");
        // A set of tasks that is dropped.
        let mut set = JoinSet::new();
        ctx.clone().run(|| {
            for _ in 0..10 {
                set.spawn(pending::<()>());
            }
        });
        yield_now().await;
        drop(set);

        drop(ctx);
        until_released(&held).await;
        assert!(kept.await.unwrap());
    });
}

#[test]
fn destructors_of_an_aborted_task_see_its_context() {
    struct Reports(Option<oneshot::Sender<Option<String>>>);

    impl Drop for Reports {
        fn drop(&mut self) {
            self.0.take().unwrap().send(USER.try_get().ok()).unwrap();
        }
    }

    on_all(|| async {
        USER.set("ada".to_owned());
        let (sender, reported) = oneshot::channel();
        let (started, starts) = oneshot::channel();
        let task = tokio::spawn(async {
            let _report = Reports(Some(sender));
            started.send(()).unwrap();
            pending::<()>().await;
        });
        starts.await.unwrap();
        task.abort();
        assert_eq!(reported.await.unwrap().unwrap(), "ada");
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// The destructors run in no context that other code sees.
#[test]
fn values_dropped_after_their_task_write_nowhere() {
    struct Sets;

    impl Drop for Sets {
        fn drop(&mut self) {
            assert!(USER.try_get().is_err());
            let _ = USER.try_set("set by a destructor".to_owned());
        }
    }

    #[context_var]
    static SETS: Sets;

    on_all(|| async {
        for _ in 0..5 {
            let task = tokio::spawn(async {
                SETS.set(Sets);
                USER.set("ada".to_owned());
                yield_now().await;
            });
            task.await.unwrap();
            tokio::spawn(async { assert!(!USER.is_set()) }).await.unwrap();
            assert!(!USER.is_set());
        }
    });
}
