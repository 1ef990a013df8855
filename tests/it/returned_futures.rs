//! `#[with_copied_context]` on functions that return futures.

use std::future::Future;
use std::pin::Pin;

use contextvar::{context_var, with_copied_context};
use tokio::task::yield_now;

use crate::support::on_both_flavors;

#[context_var]
static NUMBER: u64 = 0;

/// Adds to the number, yields to other tasks, and returns the number.
async fn add(n: u64) -> u64 {
    NUMBER.set(NUMBER.get() + n);
    yield_now().await;
    NUMBER.get()
}

type Alias<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[with_copied_context(future)]
fn alias(n: u64) -> Alias<u64> {
    NUMBER.set(NUMBER.get() + n);
    Box::pin(add(n))
}

#[with_copied_context(future, NUMBER = 1000)]
fn alias_with_entry(n: u64) -> Alias<u64> {
    Box::pin(async move { add(n).await })
}

#[with_copied_context]
fn returns_impl<'a>(text: &'a str, n: &u64) -> impl Future<Output = usize> + Send + use<'a> {
    let n = *n;
    async move { add(n).await as usize + text.len() }
}

/// A returned handle is not wrapped: the task already has its context.
#[with_copied_context]
fn starts_a_task(n: u64) -> tokio::task::JoinHandle<u64> {
    NUMBER.set(n);
    contextvar::task::spawn(add(n))
}

#[with_copied_context]
fn generic<T, E>(result: Result<T, E>) -> Result<T, E> {
    result
}

#[test]
fn returned_futures_run_in_a_copy() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let future = alias(10);
        NUMBER.set(2);
        assert_eq!(future.await, 21);
        assert_eq!(alias_with_entry(10).await, 1010);
        assert_eq!(returns_impl("abc", &10).await, 15);
        assert_eq!(starts_a_task(10).await.unwrap(), 20);
        assert_eq!(generic::<_, ()>(Ok(1)), Ok(1));
        assert_eq!(NUMBER.get(), 2);
    });
}

#[test]
fn annotated_functions_as_async_closures() {
    async fn call_twice(f: impl AsyncFn(u64) -> u64) -> u64 {
        f(1).await + f(2).await
    }

    #[with_copied_context]
    async fn annotated(n: u64) -> u64 {
        add(n).await
    }

    on_both_flavors(|| async {
        use contextvar::InContext;

        NUMBER.set(10);
        assert_eq!(call_twice(annotated).await, 11 + 12);
        // Attributes on closures are unstable; the closure's future has the method.
        assert_eq!(call_twice(|n| add(n).in_copied_context()).await, 11 + 12);
        assert_eq!(NUMBER.get(), 10);
    });
}
