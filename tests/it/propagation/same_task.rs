//! Futures and calls within one task or thread share its context.

use std::future::pending;
use std::sync::mpsc;
use std::time::Duration;

use contextvar::{Context, InContext};
use futures::future::join_all;
use futures::stream::{self, FuturesUnordered, StreamExt};
use tokio::runtime::Handle;
use tokio::task::yield_now;

use super::USER;
use crate::support::{OnDrop, on_both_flavors};

#[test]
fn awaits_joins_selects_and_timeouts_share_the_context() {
    async fn set(user: &'static str) {
        yield_now().await;
        USER.set(user);
    }

    on_both_flavors(|| async {
        set("ada").await;
        assert_eq!(USER.get(), "ada");
        tokio::join!(set("grace"), async { assert_eq!(USER.get(), "ada") });
        assert_eq!(USER.get(), "grace");
        tokio::select! {
            () = set("edsger") => (),
            () = pending() => unreachable!(),
        }
        assert_eq!(USER.get(), "edsger");
        tokio::time::timeout(Duration::from_secs(60), set("barbara")).await.unwrap();
        assert_eq!(USER.get(), "barbara");
        tokio::task::unconstrained(set("ada")).await;
        assert_eq!(USER.get(), "ada");
        join_all([set("x"), set("y")]).await;
        assert_eq!(USER.get(), "y");
        let mut unordered: FuturesUnordered<_> = [set("grace")].into_iter().collect();
        unordered.next().await;
        assert_eq!(USER.get(), "grace");
        let users = stream::iter(["ada", "edsger"]).then(|user| async move { set(user).await });
        users.for_each(|()| async { assert_ne!(USER.get(), "grace") }).await;
        assert_eq!(USER.get(), "edsger");
    });
}

#[test]
fn concurrent_futures_in_copies_are_isolated() {
    async fn live(user: &'static str) -> &'static str {
        USER.set(user);
        yield_now().await;
        USER.get()
    }

    on_both_flavors(|| async {
        let (ada, grace) = tokio::join!(live("ada").in_copied_context(), live("grace").in_copied_context());
        assert_eq!((ada, grace, USER.get()), ("ada", "grace", "nobody"));
        // A future that is created late copies the context at its creation.
        let users = stream::iter(["ada", "grace", "edsger"])
            .map(|user| live(user).in_copied_context())
            .buffer_unordered(2)
            .collect::<Vec<_>>()
            .await;
        assert_eq!(users.len(), 3);
        assert_eq!(USER.get(), "nobody");
        // A future that times out is dropped in its context.
        let (sender, reported) = mpsc::channel();
        let report = OnDrop(move || sender.send(USER.get()).unwrap());
        let cut_short = async {
            let _report = report;
            USER.set("ada");
            pending::<()>().await
        };
        let timeout = tokio::time::timeout(Duration::ZERO, cut_short.in_copied_context());
        assert!(timeout.await.is_err());
        assert_eq!((reported.recv().unwrap(), USER.get()), ("ada", "nobody"));
    });
}

#[test]
fn block_in_place_and_block_on_share_the_context() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let task = runtime.spawn(Context::new().with_value(&USER, "ada").scope(async {
        tokio::task::block_in_place(|| {
            assert_eq!(USER.get(), "ada");
            Handle::current().block_on(async {
                yield_now().await;
                USER.set("grace");
            });
        });
        USER.get()
    }));
    assert_eq!(runtime.block_on(task).unwrap(), "grace");

    // Outside of tasks, `block_on` uses the thread's context or the context that is being run.
    runtime.block_on(async { USER.set("the thread's") });
    assert_eq!(USER.get(), "the thread's");
    Context::new().run(|| runtime.block_on(async { assert_eq!(USER.get(), "nobody") }));
}
