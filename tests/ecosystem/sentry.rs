//! sentry.

// Recipe

use std::sync::Arc;

use contextvar::for_each_log_field;
use sentry::ClientOptions;
use sentry::protocol::Event;

/// Options whose events have the variables as tags.
fn options() -> ClientOptions {
    let add_tags = |mut event: Event<'static>| {
        for_each_log_field(|name, value| {
            event.tags.entry(name.to_owned()).or_insert_with(|| value.to_string());
        });
        Some(event)
    };
    ClientOptions { before_send: Some(Arc::new(add_tags)), ..Default::default() }
}

// Test

use contextvar::task;
use sentry::test::TestTransport;
use sentry::{Level, capture_event, capture_message};

use crate::support::{assert_lines, context, in_own_process, run_requests};

/// Sets up sentry for this process, as a program does. Returns where the events go.
fn init() -> (sentry::ClientInitGuard, Arc<TestTransport>) {
    let transport = TestTransport::new();
    let options = ClientOptions {
        dsn: "https://key@sentry.invalid/1".parse().ok(),
        transport: Some(Arc::new(transport.clone())),
        ..options()
    };
    (sentry::init(options), transport)
}

#[test]
fn an_event_has_the_tags_of_its_request() {
    in_own_process("sentry::an_event_has_the_tags_of_its_request", || {
        let (_guard, transport) = init();
        run_requests(2, |message| {
            capture_message(&message.to_string(), Level::Info);
        });
        let lines = transport.fetch_and_clear_events().into_iter().map(|event| {
            let tag = |name: &str| event.tags.get(name);
            format!("{} {:?} {:?}", event.message.clone().unwrap(), tag("request_id"), tag("tenant"))
        });
        assert_lines(&lines.collect::<Vec<_>>().join("\n"), 2, |message, n| {
            let (id, tenant) = (n.map(|n| n.to_string()), n.map(|n| format!("tenant {n}")));
            format!("{message} {id:?} {tenant:?}")
        });
        // An event's own tag is kept.
        let own = Event { tags: [("tenant".to_owned(), "own".to_owned())].into(), ..Default::default() };
        context(7).run(|| capture_event(own));
        let event = transport.fetch_and_clear_events().pop().unwrap();
        assert_eq!((&*event.tags["request_id"], &*event.tags["tenant"]), ("7", "own"));
    });
}

/// The requests share the hub of their thread.
#[test]
fn a_tag_on_the_scope_is_that_of_another_request() {
    async fn request(id: &str) {
        sentry::configure_scope(|scope| scope.set_tag("scope", id));
        tokio::task::yield_now().await;
        capture_message(id, Level::Info);
    }

    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            tokio::join!(context(1).scope(request("1")), context(2).scope(request("2")));
        });
    };
    let events = sentry::test::with_captured_events_options(run, options());
    let mut tags: Vec<_> =
        events.iter().map(|event| (&*event.tags["request_id"], &*event.tags["scope"])).collect();
    tags.sort_unstable();
    // Both have the tag of one of them, the one that is polled last.
    assert!([[("1", "1"), ("2", "1")], [("1", "2"), ("2", "2")]].contains(&[tags[0], tags[1]]), "{tags:?}");
}

/// sentry's integration for panics captures an event in the panic hook, as this test does.
#[test]
fn the_event_of_a_panic_has_the_tags_of_its_request() {
    in_own_process("sentry::the_event_of_a_panic_has_the_tags_of_its_request", || {
        let (_guard, transport) = init();
        std::panic::set_hook(Box::new(|info| {
            capture_message(info.payload().downcast_ref::<String>().unwrap(), Level::Fatal);
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let requests = [1, 2].map(|n| {
                tokio::spawn(context(n).scope(async move {
                    task::spawn(async move { panic!("{n} task") }).await.unwrap_err();
                    task::spawn_blocking(move || panic!("{n} call")).await.unwrap_err();
                    panic!("{n} request");
                }))
            });
            for request in requests {
                request.await.unwrap_err();
            }
        });
        let events = transport.fetch_and_clear_events();
        assert_eq!(events.len(), 6);
        for event in events {
            let message = event.message.unwrap();
            assert!(message.starts_with(&format!("{} ", event.tags["request_id"])), "{message}");
        }
    });
}
