//! Tests contextvar without features on compio. `contextvar/tests/executors.rs` has the tests of other
//! executors.

use compio::runtime::{Runtime, spawn, spawn_blocking};
use contextvar::{ContextVar, InContext, copy_context};

static NUMBER: ContextVar<u64> = ContextVar::new("number");

/// Counts up by ten from `n`, and yields between the steps.
async fn count(n: u64) -> u64 {
    for step in 0..10 {
        assert_eq!(NUMBER.get(), n + step);
        NUMBER.set(n + step + 1);
        smol::future::yield_now().await;
    }
    copy_context().scope(async { NUMBER.set(0) }).await;
    NUMBER.get()
}

fn scoped_count(n: u64) -> impl Future<Output = u64> {
    NUMBER.sync_scope(n, || count(n).in_copied_context())
}

async fn set(number: u64) {
    NUMBER.set(number);
}

#[test]
fn tasks_keep_their_values() {
    Runtime::new().unwrap().block_on(async {
        NUMBER.set(1);
        let counts: Vec<_> = (0..20).map(|n| spawn(scoped_count(n * 100))).collect();
        let blocking = spawn_blocking(copy_context().bind(|| NUMBER.get()));
        NUMBER.set(2);
        for (n, count) in (0..).zip(counts) {
            assert_eq!(count.await.unwrap(), n * 100 + 10);
        }
        assert_eq!((blocking.await.unwrap(), NUMBER.get()), (1, 2));
    });
}

#[test]
fn tasks_without_a_context_share_the_context_of_their_thread() {
    Runtime::new().unwrap().block_on(async {
        spawn(set(1)).await.unwrap();
        spawn(set(2).in_copied_context()).await.unwrap();
        assert_eq!(NUMBER.get(), 1);
    });
}
