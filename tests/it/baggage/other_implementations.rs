//! What OpenTelemetry's propagator writes is read here, and the other way around.

use std::collections::HashMap;

use contextvar::{Context, baggage, context_var, copy_context};
use opentelemetry::Context as Otel;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::BaggagePropagator;
use proptest::collection::vec;
use proptest::prelude::*;

#[context_var(baggage = "otel.text")]
static TEXT: String;

#[context_var(baggage = "otel.more")]
static MORE: String;

type Headers = HashMap<String, String>;

/// Keys, with their values and properties.
type Read = HashMap<String, (String, String)>;

fn read_by_opentelemetry(headers: &Headers) -> Read {
    let context = BaggagePropagator::new().extract_with_context(&Otel::new(), headers);
    let entry = |(key, (value, properties)): (&opentelemetry::Key, &(_, _))| {
        let (value, properties): (&opentelemetry::StringValue, &opentelemetry::baggage::BaggageMetadata) =
            (value, properties);
        (key.to_string(), (value.to_string(), properties.as_str().to_owned()))
    };
    context.baggage().iter().map(entry).collect()
}

fn written_by_opentelemetry(entries: &[(String, String, String)]) -> Headers {
    let mut baggage = Baggage::new();
    for (key, value, properties) in entries {
        baggage.insert_with_metadata(key.clone(), value.clone(), properties.as_str());
    }
    let mut headers = Headers::new();
    BaggagePropagator::new().inject_context(&Otel::new().with_baggage(baggage), &mut headers);
    headers
}

fn sent() -> Headers {
    let mut headers = Headers::new();
    baggage::inject(&mut headers);
    headers
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[=,;%\\\\\"+ \t\r\nöa%0-9A-F]{0,20}"]
}

/// A value as it stands in a header.
const VALUE: &str = "([!#-+.-:<-\\[\\]-~&&[^%]]|%2[0-9A-F]|%C3%B6){0,12}";
const PROPERTIES: &str = "(;[a-z*]{1,5}(=[a-z+]{0,5})?){0,2}";
const KEY: &str = "[a-z0-9!#$&'*+.^_`|~-]{1,8}";

proptest! {
    #[test]
    fn opentelemetry_reads_what_is_sent(text in text(), more in text(), theirs in text()) {
        let mut baggage = Baggage::new();
        baggage.insert("theirs", theirs.clone());
        let _attached = Otel::new().with_baggage(baggage).attach();
        let headers = Context::new().run(|| {
            TEXT.set(text.clone());
            MORE.set(more.clone());
            sent()
        });
        let expected = [("otel.text", text), ("otel.more", more), ("theirs", theirs)];
        let expected = expected.map(|(key, value)| (key.to_owned(), (value.trim().to_owned(), String::new())));
        prop_assert_eq!(read_by_opentelemetry(&headers), expected.into());
        // And so does this crate.
        drop(_attached);
        Context::new().run(|| {
            assert_eq!(baggage::extract(&headers), []);
            assert_eq!(sent()["baggage"].len(), headers["baggage"].len());
        });
    }

    // OpenTelemetry writes `%` as it is, which starts an encoded character for every reader.
    #[test]
    fn what_opentelemetry_sends_is_read(
        text in any::<String>().prop_map(|text| text.replace('%', "")),
        other in "[=,;\\\\\"+ \t\nöa0-9]{0,20}",
        properties in PROPERTIES,
    ) {
        let properties = properties.trim_start_matches(';').to_owned();
        let headers = written_by_opentelemetry(&[
            ("otel.text".to_owned(), text.clone(), String::new()),
            ("other".to_owned(), other.clone(), properties.clone()),
        ]);
        Context::new().run(|| {
            assert_eq!(baggage::extract(&headers), []);
            assert_eq!(TEXT.get(), text.trim());
            assert_eq!(copy_context().len(), 2);
            let other = ("other".to_owned(), (other.trim().to_owned(), properties));
            assert_eq!(read_by_opentelemetry(&sent()).remove_entry("other"), Some(other));
        });
    }

    #[test]
    fn opentelemetry_reads_the_same_from_what_is_handed_on(
        entries in vec((KEY, VALUE, PROPERTIES), 0..6),
        space in "[ \t]?",
    ) {
        let entry = |(key, value, properties): &(String, String, String)| {
            format!("{space}{key}{space}={space}{value}{properties}{space}")
        };
        let header = entries.iter().map(entry).collect::<Vec<_>>().join(",");
        let received = Headers::from([("baggage".to_owned(), header)]);
        Context::new().run(|| {
            assert_eq!(baggage::extract(&received), []);
            let handed_on = sent();
            assert_eq!(read_by_opentelemetry(&handed_on), read_by_opentelemetry(&received));
            // The next service of this kind sends the same.
            assert_eq!(baggage::extract(&handed_on), []);
            assert_eq!(sent(), handed_on);
        });
    }
}

#[test]
fn a_percent_sign_that_opentelemetry_does_not_encode_is_reported() {
    let headers = written_by_opentelemetry(&[("otel.text".to_owned(), "100%".to_owned(), String::new())]);
    let errors = Context::new().run(|| baggage::extract(&headers));
    assert_eq!(errors[0].key(), "otel.text");
}
