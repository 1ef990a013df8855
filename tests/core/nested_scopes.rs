//! Scopes inside scopes.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Poll, Waker};
use std::thread;

use contextvar::{Context, InContext, context_var, copy_context};
use futures::future::FutureExt;
use tokio::task::yield_now;

use crate::support::on_both_flavors;

#[context_var]
static NUMBER: u64;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(Waker::noop()))
}

#[test]
fn scopes_nest_and_interleave() {
    on_both_flavors(|| async {
        let inner = Context::new().with_value(&NUMBER, 2).scope(async {
            for n in 2..5 {
                assert_eq!(NUMBER.get(), n);
                NUMBER.set(n + 1);
                yield_now().await;
            }
        });
        Context::new()
            .with_value(&NUMBER, 100)
            .scope(async {
                let other = async {
                    for n in 100..103 {
                        assert_eq!(NUMBER.get(), n);
                        NUMBER.set(n + 1);
                        yield_now().await;
                    }
                };
                tokio::join!(inner, other);
                assert_eq!(NUMBER.get(), 103);
            })
            .await;
    });
}

/// Polls and drops recurse through nested scopes, as through any nested futures.
#[test]
fn ten_thousand_nested_scopes() {
    const LEVELS: u32 = if cfg!(miri) { 50 } else { 10_000 };

    #[context_var]
    static DEPTH: u32 = 0;

    fn down(levels: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(async move {
            DEPTH.set(DEPTH.get() + 1);
            if levels > 1 {
                return down(levels - 1).in_copied_context().await;
            }
            yield_now_without_a_runtime().await;
            DEPTH.get()
        })
    }

    // Enough stack for that recursion.
    let thread = thread::Builder::new().stack_size(64 << 20).spawn(|| {
        let (mut ended, mut dropped) = (down(LEVELS).in_copied_context(), down(LEVELS).in_copied_context());
        assert!(poll(Pin::new(&mut ended)).is_pending());
        assert!(poll(Pin::new(&mut dropped)).is_pending());
        drop(dropped);
        assert_eq!(poll(Pin::new(&mut ended)), Poll::Ready(LEVELS));
        assert_eq!(DEPTH.get(), 0);
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn a_panic_caught_inside_leaves_the_scope_usable() {
    let scope = Context::new().with_value(&NUMBER, 1).scope(async {
        let caught = AssertUnwindSafe(copy_context().scope(async {
            NUMBER.set(2);
            panic!("on purpose");
        }))
        .catch_unwind()
        .await;
        assert!(caught.is_err());
        NUMBER.get()
    });
    assert_eq!(scope.now_or_never(), Some(1));
}

/// An extension trait with a method `scope` on every type would hide `LocalKey::scope`.
#[test]
fn task_local_keys_keep_their_own_scope_method() {
    tokio::task_local! {
        static LOCAL: u64;
    }

    on_both_flavors(|| async {
        NUMBER.set(2);
        let sum = LOCAL.scope(1, async { LOCAL.get() + NUMBER.get() }.in_copied_context()).await;
        assert_eq!(sum, 3);
        assert_eq!(LOCAL.sync_scope(4, || LOCAL.get()), 4);
    });
}

async fn yield_now_without_a_runtime() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}
