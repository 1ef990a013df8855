//! Tests of `await`, `gather`, `timeout` and asynchronous generators.

use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use contextvar::{Context, InContext as _, StreamInContext as _, context_var, with_copied_context};
use futures::stream::{self, Stream, StreamExt as _};
use tokio::sync::Barrier;
use tokio::task::yield_now;
use tokio::time::timeout;

on_both_flavors! {
    in_a_task:
    test_asyncio_task_decimal_context awaited_futures_share_the_context gathering timeouts async_generators
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

/// Futures that a task awaits, joins or selects share the task's context.
async fn awaited_futures_share_the_context() {
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

/// `gather` starts a task for each coroutine.
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

/// `wait_for` and `timeout` start no tasks.
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

/// An asynchronous generator runs in the context of its consumer: PEP 568 was deferred.
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

    // PEP 568 would have it like this.
    let mut contained = pin!(generator().in_copied_context());
    assert_eq!(contained.next().await, Some(12));
    VAR.set(20);
    assert_eq!(contained.next().await, Some(13));
    assert_eq!(contained.next().in_context(Context::new()).await, Some(14));
    assert_eq!(VAR.get(), 20);
}
