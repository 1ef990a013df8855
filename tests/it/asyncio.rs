//! What asyncio's tests say of contexts, on tokio. Tests that stand for one of CPython's have its name.
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
//! One context in two tasks at the same time, which asyncio lets happen, does not compile: `scope` takes it.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use contextvar::{
    Context, InContext as _, StreamInContext as _, context_var, copy_context, task, with_copied_context,
};
use futures::future::BoxFuture;
use futures::stream::{self, Stream, StreamExt as _};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Barrier, oneshot};
use tokio::task::{JoinSet, LocalSet, yield_now};
use tokio::time::timeout;

/// Makes two tests of each function, on a current-thread runtime and on one with four workers.
macro_rules! on_both_flavours {
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

mod callbacks;

on_both_flavours! {
    in_a_task:
    test_context_1 test_context_3 test_context_4 test_get_context two_copies_of_a_context
    test_taskgroup_task_context tasks_of_tasks test_context_vars functions_that_copy_the_context
    test_asyncio_task_decimal_context awaiting_joining_and_selecting gathering timeouts cancellation
    failure async_generators
}

on_both_flavours! {
    on_the_thread:
    test_run_keeps_context runner_with_a_context local_tasks
}

/// Runs the test as `asyncio.run` does: in a task that has a context.
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

// test_context_5 and test_context_6 are the same by other ways to start a task.
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
    // Without a context of the caller's choice it is a copy.
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
                return path;
            }
            let deepest = task::spawn(descend(depth + 1)).await.unwrap();
            assert_eq!(PATH.get(), path);
            deepest
        })
    }

    assert_eq!(descend(0).await, [0, 1, 2, 3, 4, 5]);
}

/// Of `test_eager_task_factory`: the first step of a task is made by whoever starts it.
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

async fn functions_that_copy_the_context() {
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

async fn test_asyncio_task_decimal_context() {
    #[context_var]
    static PRECISION: usize = 28;

    fn divide(x: f64, y: f64) -> String {
        format!("{:.*}", PRECISION.get(), x / y)
    }

    #[with_copied_context(PRECISION = precision)]
    async fn fractions(precision: usize, x: f64, y: f64) -> [String; 2] {
        let first = divide(x, y);
        yield_now().await;
        [first, divide(x, y * y)]
    }

    let (three, six) = tokio::join!(fractions(3, 1., 3.), fractions(6, 1., 3.));
    assert_eq!(three, ["0.333", "0.111"]);
    assert_eq!(six, ["0.333333", "0.111111"]);
    assert_eq!(PRECISION.get(), 28);
}

/// What is awaited in the task itself is of the task's context, and so is what runs next to it.
async fn awaiting_joining_and_selecting() {
    #[context_var]
    static VAR: String = String::new();

    async fn push(text: &str) -> String {
        VAR.set(VAR.get() + text);
        yield_now().await;
        VAR.get()
    }

    push("a").await;
    assert_eq!(VAR.get(), "a");
    assert_eq!(tokio::join!(push("b"), push("c")), ("abc".to_owned(), "abc".to_owned()));
    tokio::select! {
        biased;
        () = async { push("d").await; pending().await } => {}
        text = push("e") => assert_eq!(text, "abcde"),
    }
    assert_eq!(VAR.get(), "abcde");
}

/// `gather` makes tasks.
async fn gathering() {
    #[context_var]
    static VAR: u32 = 0;

    let all_have_set = Barrier::new(3);
    let add = async |value| {
        VAR.set(VAR.get() + value);
        all_have_set.wait().await;
        VAR.get()
    };
    VAR.set(1);
    let all = [10, 20, 30].map(|value| add(value).in_copied_context());
    VAR.set(2);
    assert_eq!(futures::future::join_all(all).await, [11, 21, 31]);
    assert_eq!(VAR.get(), 2);
}

/// `wait_for` and `timeout`, which make no tasks.
async fn timeouts() {
    #[context_var]
    static VAR: u32 = 0;

    let set_and_hang = |value| async move {
        VAR.set(value);
        pending::<()>().await;
    };
    timeout(Duration::ZERO, set_and_hang(1)).await.unwrap_err();
    assert_eq!(VAR.get(), 1);
    timeout(Duration::ZERO, set_and_hang(2).in_copied_context()).await.unwrap_err();
    assert_eq!(VAR.get(), 1);
}

/// What is a `finally:` in Python, a destructor, runs in the context of the task that is cancelled.
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

/// PEP 568 was deferred: an asynchronous generator runs in the context of whoever asks it for more.
async fn async_generators() {
    #[context_var]
    static VAR: u32 = 0;

    fn generator() -> impl Stream<Item = u32> {
        stream::unfold((), |()| async {
            yield_now().await;
            VAR.set(VAR.get() + 1);
            Some((VAR.get(), ()))
        })
    }

    let mut leaking = pin!(generator());
    assert_eq!(leaking.next().await, Some(1));
    assert_eq!(VAR.get(), 1);
    VAR.set(10);
    assert_eq!(leaking.next().await, Some(11));
    assert_eq!(leaking.next().in_context(Context::new()).await, Some(1));
    assert_eq!(VAR.get(), 11);

    // With PEP 568 it would be like this.
    let mut contained = pin!(generator().in_copied_context());
    assert_eq!(contained.next().await, Some(12));
    VAR.set(20);
    assert_eq!(contained.next().await, Some(13));
    assert_eq!(contained.next().in_context(Context::new()).await, Some(14));
    assert_eq!(VAR.get(), 20);
}

/// What runs in `block_on` itself uses the thread's context, which a runner keeps from run to run.
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

    // `asyncio.run` keeps nothing.
    assert_eq!(runtime.block_on(replace(3).in_copied_context()), 2);
    assert_eq!(VAR.get(), 2);
}

/// `Runner.run(f(), context=ctx)`.
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
