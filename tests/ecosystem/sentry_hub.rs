//! sentry's hub.

// Recipe

use contextvar::carry::{self, Ambient};
use sentry::Hub;

/// Is called once, in `main`.
fn carry_hub() {
    carry::register(Ambient::scoped(|| Some(Hub::current()), |hub, work| Hub::run(hub.clone(), work)));
}

// Test

use std::sync::Arc;

use contextvar::{task, thread};
use sentry::{Level, SentryFutureExt, capture_message, configure_scope};

use crate::support::in_own_process;

async fn request(user: &'static str) {
    let work = async move {
        configure_scope(|scope| scope.set_tag("user", user));
        let task = task::spawn(async {
            tokio::task::yield_now().await;
            capture_message("task", Level::Info);
            task::spawn_blocking(|| capture_message("call", Level::Info)).await
        });
        task.await.unwrap().unwrap();
        thread::spawn(|| capture_message("thread", Level::Info)).join().unwrap();
        std::thread::spawn(carry::bind(|| capture_message("closure", Level::Info))).join().unwrap();
    };
    // What a layer of sentry does around a request.
    work.bind_hub(Arc::new(Hub::new_from_top(Hub::current()))).await;
}

#[test]
fn the_hub_follows_into_tasks_and_threads() {
    in_own_process("sentry_hub::the_hub_follows_into_tasks_and_threads", || {
        carry_hub();
        let events = sentry::test::with_captured_events(|| {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            runtime.block_on(async { tokio::join!(request("ada"), request("grace")) });
        });
        let line = |event: &sentry::protocol::Event<'_>| {
            format!("{} {:?}", event.message.as_ref().unwrap(), event.tags.get("user"))
        };
        let mut seen: Vec<_> = events.iter().map(line).collect();
        seen.sort_unstable();
        let expected = ["call", "closure", "task", "thread"];
        let expected =
            expected.iter().flat_map(|what| ["ada", "grace"].map(|user| format!("{what} {:?}", Some(user))));
        assert_eq!(seen, expected.collect::<Vec<_>>());
    });
}
