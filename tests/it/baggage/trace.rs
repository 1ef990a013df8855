//! OpenTelemetry's trace, which crosses with the baggage.

use std::collections::HashMap;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request};
use axum::routing::get;
use contextvar::tower::ContextLayer;
use contextvar::{Context, baggage, task};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    FutureExt, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, Tracer, TracerProvider,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower::ServiceExt;

use super::TENANT;
use crate::support::on_both_flavors;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Returns the span of the current OpenTelemetry context, as `traceparent` writes it.
fn current() -> String {
    let context = opentelemetry::Context::current();
    let span = context.span().span_context().clone();
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8())
}

fn no_span() -> String {
    let none = SpanContext::empty_context();
    format!("00-{}-{}-00", none.trace_id(), none.span_id())
}

fn message(parent: &str, state: &str) -> HashMap<String, String> {
    let headers = [("traceparent", parent), ("tracestate", state), ("baggage", "test.tenant=acme")];
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[test]
fn received_work_runs_in_the_trace_of_its_message() {
    on_both_flavors(|| async {
        let received = baggage::receive(&message(PARENT, "a=b"));
        assert_eq!(received.errors(), []);
        let work = received.scope(async {
            tokio::task::yield_now().await;
            assert_eq!((current(), TENANT.get().as_str()), (PARENT.to_owned(), "acme"));
            assert_eq!(task::spawn(async { current() }).await.unwrap(), PARENT);
            baggage::headers()
        });
        assert_eq!(current(), no_span());
        let sent = tokio::spawn(work).await.unwrap();
        // A service without spans of its own hands them on.
        assert_eq!(
            (&sent["traceparent"], &sent["tracestate"]),
            (&PARENT.parse().unwrap(), &"a=b".parse().unwrap())
        );
    });
    assert_eq!(baggage::receive(&message(PARENT, "")).run(current), PARENT);
}

#[test]
fn a_span_of_the_work_is_a_child_of_the_senders() {
    let provider = SdkTracerProvider::builder().build();
    let tracer = provider.tracer("test");
    let mut sent = HashMap::new();
    tracer.in_span("sender", |cx| {
        baggage::inject(&mut sent);
        let span = cx.span().span_context().clone();
        assert_eq!(sent["traceparent"], format!("00-{}-{}-01", span.trace_id(), span.span_id()));
        assert_eq!(sent.get("tracestate"), None, "it would be empty");
        baggage::receive(&sent).run(|| {
            let here = opentelemetry::Context::current();
            let kept = here.span().span_context().span_id();
            assert_eq!(kept, span.span_id(), "a span of the same trace stays");
        });
    });
    baggage::receive(&sent).run(|| {
        tracer.in_span("receiver", |cx| {
            assert_eq!(cx.span().span_context().trace_id().to_string(), sent["traceparent"][3..35]);
            assert_ne!(current(), sent["traceparent"]);
        });
    });
}

#[test]
fn a_span_is_sent_as_opentelemetry_sends_it() {
    let spans = [
        (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331, 1, "a=b,c=d"),
        (7, 1, 0, ""),
        (u128::MAX, u64::MAX, 0xff, "a=b"),
        (0, 1, 1, "a=b"),
        (1, 0, 1, "a=b"),
    ];
    for (trace, span, flags, state) in spans {
        let context = SpanContext::new(
            TraceId::from(trace),
            SpanId::from(span),
            TraceFlags::new(flags),
            true,
            state.parse().unwrap(),
        );
        let _attached = opentelemetry::Context::new().with_remote_span_context(context).attach();
        let mut expected = HashMap::new();
        TraceContextPropagator::new().inject(&mut expected);
        // The specification asks senders not to send an empty one.
        expected.retain(|_, text| !text.is_empty());
        let mut sent = HashMap::new();
        Context::new().run(|| baggage::inject(&mut sent));
        assert_eq!(sent, expected);
        let headers = Context::new().run(baggage::headers);
        let headers: HashMap<String, String> = headers
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_str().unwrap().to_owned()))
            .collect();
        assert_eq!(headers, expected);
    }
}

#[test]
fn headers_are_found_among_few_and_many() {
    for others in [0, 3, 7, 8, 9, 50] {
        let mut headers = HeaderMap::new();
        for n in 0..others {
            headers.insert(HeaderName::try_from(format!("x-{n}")).unwrap(), n.into());
        }
        baggage::receive_headers(&headers).run(|| {
            assert_eq!((current(), TENANT.is_set()), (no_span(), false), "{others}");
        });
        headers.insert("baggage", "test.tenant=acme".parse().unwrap());
        headers.insert("traceparent", PARENT.parse().unwrap());
        baggage::receive_headers(&headers).run(|| {
            assert_eq!((current(), TENANT.get().as_str()), (PARENT.to_owned(), "acme"), "{others}");
        });
    }
}

#[test]
fn a_malformed_trace_is_ignored() {
    for parent in [
        "",
        "00",
        "00-0-0-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        &PARENT.to_uppercase(),
    ] {
        let received = baggage::receive(&message(parent, "a=b"));
        assert_eq!(received.errors(), []);
        received.run(|| {
            assert_eq!((current(), TENANT.get().as_str()), (no_span(), "acme"), "{parent}");
            assert_eq!(baggage::headers().keys().collect::<Vec<_>>(), ["baggage"]);
        });
    }
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", b"00-\xff".as_slice().try_into().unwrap());
    baggage::receive_headers(&headers).run(|| assert_eq!(current(), no_span()));
}

#[test]
fn several_headers_of_the_state_count_as_one() {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", PARENT.parse().unwrap());
    headers.append("tracestate", "a=b".parse().unwrap());
    headers.append("tracestate", "c=d".parse().unwrap());
    baggage::receive_headers(&headers).run(|| assert_eq!(baggage::headers()["tracestate"], "a=b,c=d"));
}

/// The same layer extracts the baggage and the trace, and the same call injects both.
#[test]
fn a_request_runs_in_the_trace_of_its_client() {
    async fn handler() -> String {
        tokio::task::yield_now().await;
        let task = task::spawn(async { current() }).await.unwrap();
        let sent = baggage::headers();
        let trace = sent.get("traceparent").map_or("", |value| value.to_str().unwrap());
        format!("{} {task} {trace} {}", current(), TENANT.get())
    }

    on_both_flavors(|| async {
        let layer = ContextLayer::new().extract_baggage(|error| panic!("{error}"));
        let app = Router::new().route("/", get(handler)).layer(layer);
        let ask = |parent: Option<&str>| {
            let mut request = Request::get("/").header("baggage", "test.tenant=acme");
            if let Some(parent) = parent {
                request = request.header("traceparent", parent);
            }
            let response = app.clone().oneshot(request.body(Body::empty()).unwrap());
            async {
                let body = axum::body::to_bytes(response.await.unwrap().into_body(), 1000).await.unwrap();
                String::from_utf8(body.to_vec()).unwrap()
            }
        };
        let other = PARENT.replace("0af7", "1111");
        let answers = tokio::join!(ask(Some(PARENT)), ask(Some(&other)), ask(None));
        assert_eq!(answers.0, format!("{PARENT} {PARENT} {PARENT} acme"));
        assert_eq!(answers.1, format!("{other} {other} {other} acme"));
        assert_eq!(answers.2, format!("{} {}  acme", no_span(), no_span()));
        // A layer for tracing, outside of this one, has made a span of the client's trace already.
        let span = |trace: &str| {
            let span = SpanContext::new(
                TraceId::from_hex(trace).unwrap(),
                SpanId::from(8),
                TraceFlags::SAMPLED,
                false,
                Default::default(),
            );
            opentelemetry::Context::new().with_remote_span_context(span)
        };
        let own = ask(Some(PARENT)).with_context(span(&PARENT[3..35])).await;
        assert!(own.starts_with(&format!("{}-0000000000000008-01 ", &PARENT[..35])), "{own}");
        // A span of another trace is that of the process's start, or of a connection.
        let own = ask(Some(PARENT)).with_context(span("07")).await;
        assert!(own.starts_with(&format!("{PARENT} ")), "{own}");
        assert_eq!(current(), no_span());
    });
}

#[test]
fn a_layer_for_declared_baggage_ignores_the_trace() {
    let layer = ContextLayer::new().extract_declared_baggage(|error| panic!("{error}"));
    let app = Router::new().route("/", get(|| async { current() })).layer(layer);
    let request = Request::get("/").header("traceparent", PARENT).body(Body::empty()).unwrap();
    let body = futures::executor::block_on(async {
        axum::body::to_bytes(app.oneshot(request).await.unwrap().into_body(), 1000).await.unwrap()
    });
    assert_eq!(body, no_span());
}

/// A body is streamed after the handler has returned.
#[test]
fn a_streamed_body_runs_in_the_trace() {
    let layer = ContextLayer::new().extract_baggage(|error| panic!("{error}"));
    let body = || async {
        Body::from_stream(futures::stream::once(async { Ok::<_, std::convert::Infallible>(current()) }))
    };
    let app = Router::new().route("/", get(body)).layer(layer);
    let request = Request::get("/").header("traceparent", PARENT).body(Body::empty()).unwrap();
    let body = futures::executor::block_on(async {
        axum::body::to_bytes(app.oneshot(request).await.unwrap().into_body(), 1000).await.unwrap()
    });
    assert_eq!(body, PARENT);
}

#[test]
fn work_without_a_trace_keeps_the_current_one() {
    let span = opentelemetry::Context::new();
    let _attached = span.attach();
    Context::new().run(|| {
        assert!(baggage::headers().is_empty());
        baggage::receive(&HashMap::new()).run(|| assert_eq!(current(), no_span()));
    });
}
