//! Tests of `create_task` and task groups.

use std::future::pending;
use std::sync::Arc;

use contextvar::{Context, InContext as _, context_var, copy_context, task, with_copied_context};
use futures::future::BoxFuture;
use tokio::sync::{Barrier, oneshot};
use tokio::task::{JoinSet, yield_now};

on_both_flavors! {
    in_a_task:
    test_context_1 test_context_3 test_context_4 test_get_context two_copies_of_a_context
    test_taskgroup_task_context tasks_of_tasks test_context_vars annotated_functions_copy_the_context
    cancellation failure
}

async fn test_context_1() {
    #[context_var]
    static VAR: &str = "nope";

    let (go, wait) = oneshot::channel();
    assert_eq!(VAR.get(), "nope");
    let subtask = task::spawn(async move {
        wait.await.unwrap();
        assert_eq!(VAR.get(), "nope");
        VAR.set("something else");
    });
    VAR.set("yes");
    go.send(()).unwrap();
    subtask.await.unwrap();
    assert_eq!(VAR.get(), "yes");
}

async fn test_context_3() {
    #[context_var]
    static VAR: i32 = -1;

    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let sub = async move {
            for step in 0..10 {
                VAR.set(number + step);
                yield_now().await;
                assert_eq!(VAR.get(), number + step);
            }
        };
        tasks.spawn(sub.in_copied_context());
    }
    assert_eq!(tasks.join_all().await.len(), 100);
    assert_eq!(VAR.get(), -1);
}

// test_context_5 and test_context_6 do the same with other functions that start a task.
async fn test_context_4() {
    #[context_var]
    static VAR: u32;

    let mut ctx = copy_context();
    let mut seen = vec![ctx.get(&VAR).copied()];
    for value in [1, 2] {
        let set_later = async move {
            yield_now().await;
            VAR.set(value).old_value().copied()
        };
        let (old, after) = tokio::spawn(ctx.scope(set_later).and_context()).await.unwrap();
        assert_eq!(old, seen.last().copied().flatten());
        seen.push(after.get(&VAR).copied());
        ctx = after;
    }
    assert_eq!(seen, [None, Some(1), Some(2)]);
    assert!(!VAR.is_set());
}

async fn test_get_context() {
    #[context_var]
    static VAR: u32;

    let mut coroutine = Box::pin(Context::new().with_value(&VAR, 1).scope(async {
        VAR.set(2);
        yield_now().await;
    }));
    assert_eq!(coroutine.context()[&VAR], 1);
    assert!(futures::poll!(coroutine.as_mut()).is_pending());
    assert_eq!(coroutine.context()[&VAR], 2);
}

async fn two_copies_of_a_context() {
    #[context_var]
    static VAR: u32;

    let ctx = Context::new().with_value(&VAR, 1);
    let all_have_set = Arc::new(Barrier::new(2));
    let tasks = [10, 20].map(|value| {
        let all_have_set = all_have_set.clone();
        let change = async move {
            VAR.set(VAR.get() + value);
            all_have_set.wait().await;
            VAR.get()
        };
        tokio::spawn(change.in_context(ctx.clone()))
    });
    let [first, second] = tasks;
    assert_eq!((first.await.unwrap(), second.await.unwrap(), ctx[&VAR]), (11, 21, 1));
}

async fn test_taskgroup_task_context() {
    #[context_var]
    static VAR: u32;

    async fn set_later(value: u32) {
        yield_now().await;
        VAR.set(value);
    }

    let mut group = JoinSet::new();
    let mut ctx = copy_context();
    assert_eq!(ctx.get(&VAR), None);
    for value in [1, 2] {
        group.spawn(set_later(value).in_context(ctx).and_context());
        ((), ctx) = group.join_next().await.unwrap().unwrap();
        assert_eq!(ctx[&VAR], value);
    }
    // Without a `context` argument the task runs in a copy.
    VAR.set(3);
    group.spawn(set_later(4).in_copied_context().and_context());
    let ((), ctx) = group.join_next().await.unwrap().unwrap();
    assert_eq!((ctx[&VAR], VAR.get()), (4, 3));
}

async fn tasks_of_tasks() {
    #[context_var]
    static PATH: Vec<u32> = vec![];

    fn descend(depth: u32) -> BoxFuture<'static, Vec<u32>> {
        Box::pin(async move {
            let path = [PATH.get(), vec![depth]].concat();
            PATH.set(path.clone());
            if depth == 5 {
                return task::spawn_blocking(|| PATH.get()).await.unwrap();
            }
            let deepest = task::spawn(descend(depth + 1)).await.unwrap();
            assert_eq!(PATH.get(), path);
            deepest
        })
    }

    assert_eq!(descend(0).await, [0, 1, 2, 3, 4, 5]);
}

/// From `test_eager_task_factory`: the code that starts a task runs the task's first step.
async fn test_context_vars() {
    #[context_var]
    static VAR: u32 = 0;

    VAR.set(1);
    let (go, wait) = oneshot::channel();
    let coroutine = async {
        assert_eq!(VAR.get(), 1);
        VAR.set(2);
        wait.await.unwrap();
        assert_eq!(VAR.get(), 2);
        VAR.set(3);
        VAR.get()
    };
    let mut coroutine = Box::pin(coroutine.in_copied_context());
    assert!(futures::poll!(coroutine.as_mut()).is_pending());
    assert_eq!(VAR.get(), 1);
    let task = tokio::spawn(coroutine);
    go.send(()).unwrap();
    assert_eq!(task.await.unwrap(), 3);
    assert_eq!(VAR.get(), 1);
}

async fn annotated_functions_copy_the_context() {
    #[context_var]
    static VAR: u32;

    #[with_copied_context]
    async fn add(value: u32) -> u32 {
        yield_now().await;
        VAR.set(VAR.get() + value);
        VAR.get()
    }

    let mut ctx = Context::new().with_value(&VAR, 10);
    VAR.set(1);
    let of_here = tokio::spawn(add(2));
    let of_ctx = tokio::spawn(ctx.run(|| add(2)));
    VAR.set(5);
    assert_eq!((of_here.await.unwrap(), of_ctx.await.unwrap(), add(2).await), (3, 12, 7));
    assert_eq!((VAR.get(), ctx[&VAR]), (5, 10));
}

/// A destructor, which stands for Python's `finally:`, runs in the context of the canceled task.
async fn cancellation() {
    #[context_var]
    static VAR: u32 = 0;

    struct Finally(Option<oneshot::Sender<u32>>);

    impl Drop for Finally {
        fn drop(&mut self) {
            let seen = VAR.get();
            VAR.set(3);
            self.0.take().unwrap().send(seen).unwrap();
        }
    }

    VAR.set(1);
    let (cleaned, seen) = oneshot::channel();
    let (started, wait) = oneshot::channel();
    let task = task::spawn(async {
        let _finally = Finally(Some(cleaned));
        VAR.set(2);
        started.send(()).unwrap();
        pending::<()>().await;
    });
    wait.await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(seen.await.unwrap(), 2);
    assert_eq!(VAR.get(), 1);
}

async fn failure() {
    #[context_var]
    static VAR: u32 = 0;

    VAR.set(1);
    for value in [2, 3] {
        let fail = task::spawn(async move {
            assert_eq!(VAR.get(), 1);
            VAR.set(value);
            panic!("1 / 0");
        });
        assert!(fail.await.unwrap_err().is_panic());
        assert_eq!(VAR.get(), 1);
        assert_eq!(tokio::spawn(async { VAR.get() }).await.unwrap(), 0);
    }
}
