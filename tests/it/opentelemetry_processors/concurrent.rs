//! Spans and records of overlapping requests, in tasks, blocking calls and threads.

use std::collections::BTreeMap;

use contextvar::{task, thread, with_copied_context};
use opentelemetry::Value;
use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{Span, Tracer};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use tokio::sync::Barrier;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, info, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;

use super::log_records::{Records, of_record};
use super::{REQUEST, Spans, TENANT, attributes, of_request, processor};
use crate::support::on_both_flavors;

const REQUESTS: u64 = 100;

/// Returns the number in the name of a span: `what 7`.
fn number(name: &str) -> u64 {
    name.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn spans_of_overlapping_requests_do_not_mix() {
    #[with_copied_context(REQUEST = n, TENANT = format!("tenant-{n}"))]
    async fn handle(n: u64, tracer: impl Tracer + Clone + Send + Sync + 'static, all_here: &Barrier) {
        let start = move |what| tracer.start(format!("{what} {n}")).end();
        start("request");
        all_here.wait().await;
        start("after an await");
        let (in_task, in_call, in_thread) = (start.clone(), start.clone(), start.clone());
        let task = task::spawn(async move {
            tokio::task::yield_now().await;
            in_task("task");
        });
        let call = task::spawn_blocking(move || in_call("call"));
        let thread = thread::spawn(move || in_thread("thread"));
        all_here.wait().await;
        tokio::try_join!(task, call).unwrap();
        thread.join().unwrap();
    }

    on_both_flavors(|| async {
        let spans = Spans::new(processor());
        let all_here = std::sync::Arc::new(Barrier::new(REQUESTS as usize));
        let requests = (0..REQUESTS).map(|n| {
            let (tracer, all_here) = (spans.tracer.clone(), all_here.clone());
            tokio::spawn(async move { handle(n, tracer, &all_here).await })
        });
        for request in requests.collect::<Vec<_>>() {
            request.await.unwrap();
        }
        let ended = spans.take();
        assert_eq!(ended.len() as u64, 5 * REQUESTS);
        for span in ended {
            let n = number(&span.name);
            assert_eq!(attributes(span.attributes), of_request(n), "{}", span.name);
        }
    });
}

/// The same with spans and events of `tracing`: each request enters its span in each poll.
#[test]
fn spans_and_events_of_tracing_of_overlapping_requests_do_not_mix() {
    #[with_copied_context(REQUEST = n, TENANT = format!("tenant-{n}"))]
    async fn handle(n: u64, all_here: &Barrier) {
        async {
            all_here.wait().await;
            // Opened here, entered in a task of another request, and in one of none. Each block drops its span
            // while the subscriber is set: otherwise tracing-subscriber never closes the span's parent.
            let (first, second) = (info_span!("moved", n), info_span!("moved", n));
            let other = async move { work(n).instrument(first).await }.with_current_subscriber();
            let other = REQUEST.sync_scope(n + REQUESTS, || task::spawn(other));
            let none = async move { async {}.instrument(second).await }.with_current_subscriber();
            let none = task::spawn_in_empty_context(none);
            info!("event {n}");
            all_here.wait().await;
            tokio::try_join!(other, none).unwrap();
        }
        .instrument(info_span!("request", n))
        .await;
    }

    async fn work(n: u64) {
        tokio::task::yield_now().await;
        info!("event {}", n + REQUESTS);
    }

    on_both_flavors(|| async {
        let (spans, records) = (Spans::new(processor()), Records::new());
        let layer = tracing_opentelemetry::layer()
            .with_tracer(contextvar::opentelemetry::ContextTracer::new(spans.tracer.clone()));
        // With its unstable API, tokio opens spans of its own, at the level TRACE.
        let subscriber = registry().with(layer).with(OpenTelemetryTracingBridge::new(&records.provider));
        let subscriber = subscriber.with(LevelFilter::INFO);
        let dispatch = tracing::Dispatch::from(subscriber);
        let all_here = std::sync::Arc::new(Barrier::new(REQUESTS as usize));
        let requests = (0..REQUESTS).map(|n| {
            let all_here = all_here.clone();
            tokio::spawn(async move { handle(n, &all_here).await }.with_subscriber(dispatch.clone()))
        });
        for request in requests.collect::<Vec<_>>() {
            request.await.unwrap();
        }
        let ended = spans.take();
        assert_eq!(ended.len() as u64, 3 * REQUESTS);
        for span in ended {
            let mut shown = attributes(span.attributes);
            let Some(Value::String(n)) = shown.remove("n") else { panic!("{} {shown:?}", span.name) };
            shown.retain(|key, _| key.starts_with("shop."));
            assert_eq!(shown, of_request(n.as_str().parse().unwrap()), "{}", span.name);
        }
        let logged = records.take();
        assert_eq!(logged.len() as u64, 2 * REQUESTS);
        for (body, shown) in logged {
            let n = number(&body);
            let mut expected: BTreeMap<String, AnyValue> = of_record(of_request(n % REQUESTS));
            expected.insert("shop.request".to_owned(), AnyValue::Int(n as i64));
            assert_eq!(shown, expected, "{body}");
        }
    });
}
