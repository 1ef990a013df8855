//! Baggage of three entries, beside OpenTelemetry's propagator used by hand.

mod client;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use contextvar::{Context, baggage, context_var};
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::BaggagePropagator;

use super::row::Row;
use crate::measure::Meter;

type OtelContext = opentelemetry::Context;

pub(super) fn rows() -> Vec<Row> {
    let propagator = "`BaggagePropagator`";
    let mut rows = vec![
        Row::new("`inject_headers` of 3 entries", inject_headers).beside(propagator, inject_headers_peer),
        Row::new("`inject` of 3 entries into a `HashMap`", inject).beside(propagator, inject_peer),
        Row::new("set 3 values, then `inject_headers`", set_and_inject)
            .beside("`with_baggage`, `BaggagePropagator`", set_and_inject_peer),
        Row::new("`inject_headers`, nothing set", inject_nothing)
            .beside(propagator, inject_nothing_peer)
            .why_not(3.0, INJECT_NOTHING),
        Row::new("`extract_headers` of 3 entries, each read as its type", extract_headers)
            .over(new_context)
            .beside(propagator, extract_headers_peer),
        Row::new("`extract` of 3 entries from a `HashMap`, each read as its type", extract)
            .over(new_context)
            .beside(propagator, extract_peer),
        Row::new("`extract_headers`, no header", extract_nothing)
            .over(new_context)
            .beside(propagator, extract_nothing_peer),
    ];
    rows.extend(client::rows());
    rows
}

const INJECT_NOTHING: &str = "looks at each declared variable, and at OpenTelemetry's context for a span and for baggage; the peer at baggage only";

#[context_var(baggage = "tenant.name")]
static TENANT: String;
#[context_var(baggage = "user.id")]
static USER: u64;
#[context_var(baggage = "plan", codec = Plan)]
static PLAN: &'static str;

struct Plan;

impl baggage::Codec<&'static str> for Plan {
    fn encode(value: &&'static str) -> String {
        (*value).to_owned()
    }

    fn decode(text: &str) -> Option<&'static str> {
        plan(text)
    }
}

fn plan(text: &str) -> Option<&'static str> {
    ["free", "gold"].into_iter().find(|&plan| plan == text)
}

/// The header of the three entries.
pub(super) const HEADER: &str = "plan=gold,tenant.name=acme%20inc,user.id=1234567";

fn ours() -> Context {
    Context::new()
        .with_value(&TENANT, "acme inc".to_owned())
        .with_value(&USER, black_box(1_234_567))
        .with_value(&PLAN, "gold")
}

fn theirs() -> OtelContext {
    OtelContext::new().with_baggage([
        KeyValue::new("tenant.name", "acme inc".to_owned()),
        KeyValue::new("user.id", black_box(1_234_567_u64).to_string()),
        KeyValue::new("plan", "gold"),
    ])
}

/// HTTP headers as OpenTelemetry's carrier, for which the crate opentelemetry-http has the same two types.
pub(super) struct Headers<'a>(pub(super) &'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct HeadersMut<'a>(&'a mut HeaderMap);

impl Injector for HeadersMut<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}

fn inject_headers(meter: Meter) {
    ours().run(|| {
        meter.time(|| {
            let mut headers = HeaderMap::new();
            baggage::inject_headers(&mut headers);
            headers
        });
    });
}

fn inject_headers_peer(meter: Meter) {
    let _attached = theirs().attach();
    let propagator = BaggagePropagator::new();
    meter.time(|| {
        let mut headers = HeaderMap::new();
        propagator.inject(&mut HeadersMut(&mut headers));
        headers
    });
}

fn inject(meter: Meter) {
    ours().run(|| {
        meter.time(|| {
            let mut message = HashMap::new();
            baggage::inject(&mut message);
            message
        });
    });
}

fn inject_peer(meter: Meter) {
    let _attached = theirs().attach();
    let propagator = BaggagePropagator::new();
    meter.time(|| {
        let mut message = HashMap::new();
        propagator.inject(&mut message);
        message
    });
}

fn set_and_inject(meter: Meter) {
    meter.time(|| ours().run(baggage::headers));
}

fn set_and_inject_peer(meter: Meter) {
    let propagator = BaggagePropagator::new();
    meter.time(|| {
        let mut headers = HeaderMap::new();
        propagator.inject_context(&theirs(), &mut HeadersMut(&mut headers));
        headers
    });
}

fn inject_nothing(meter: Meter) {
    Context::new().run(|| meter.time(baggage::headers));
}

fn inject_nothing_peer(meter: Meter) {
    let propagator = BaggagePropagator::new();
    meter.time(|| {
        let mut headers = HeaderMap::new();
        propagator.inject(&mut HeadersMut(&mut headers));
        headers
    });
}

/// Reads the three values from the current context.
pub(super) fn read_declared() {
    black_box((TENANT.with(String::len), USER.get(), PLAN.get()));
}

/// Reads the three values from a context of OpenTelemetry, as the types that they have.
pub(super) fn read_opentelemetry(context: &OtelContext) {
    let baggage = context.baggage();
    let get = |key: &str| baggage.get(key).unwrap().as_str();
    black_box((get("tenant.name").len(), get("user.id").parse::<u64>().unwrap(), plan(get("plan")).unwrap()));
}

static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    HeaderMap::from_iter([(HeaderName::from_static("baggage"), HeaderValue::from_static(HEADER))])
});

static MESSAGE: LazyLock<HashMap<String, String>> =
    LazyLock::new(|| HashMap::from([("baggage".to_owned(), HEADER.to_owned())]));

fn new_context(meter: Meter) {
    LazyLock::force(&HEADERS);
    LazyLock::force(&MESSAGE);
    meter.time(|| Context::new().run(|| black_box(())));
}

fn extract_headers(meter: Meter) {
    let headers = LazyLock::force(&HEADERS);
    meter.time(|| {
        Context::new().run(|| {
            assert!(baggage::extract_headers(headers).is_empty());
            read_declared();
        });
    });
}

fn extract_headers_peer(meter: Meter) {
    let headers = LazyLock::force(&HEADERS);
    let propagator = BaggagePropagator::new();
    meter.time(|| {
        read_opentelemetry(&propagator.extract_with_context(&OtelContext::new(), &Headers(headers)))
    });
}

fn extract(meter: Meter) {
    let message = LazyLock::force(&MESSAGE);
    meter.time(|| {
        Context::new().run(|| {
            assert!(baggage::extract(message).is_empty());
            read_declared();
        });
    });
}

fn extract_peer(meter: Meter) {
    let message = LazyLock::force(&MESSAGE);
    let propagator = BaggagePropagator::new();
    meter.time(|| read_opentelemetry(&propagator.extract_with_context(&OtelContext::new(), message)));
}

fn extract_nothing(meter: Meter) {
    let headers = HeaderMap::new();
    meter.time(|| Context::new().run(|| assert!(baggage::extract_headers(&headers).is_empty())));
}

fn extract_nothing_peer(meter: Meter) {
    let headers = HeaderMap::new();
    let propagator = BaggagePropagator::new();
    meter.time(|| propagator.extract_with_context(&OtelContext::new(), &Headers(&headers)));
}
