//! Sends context variables to other processes as [W3C Baggage], with OpenTelemetry's propagator.
//!
//! Declare a variable with `#[context_var(baggage = "key")]`. If it is set, [`inject`] adds it to an outgoing
//! request. [`extract`] sets it from an incoming request. No other variable is ever sent or set.
//!
//! The type needs `Display` and `FromStr`, or else a [`Codec`]:
//! `#[context_var(baggage = "key", codec = MyCodec)]`.
//!
//! ```
//! use std::collections::HashMap;
//!
//! use contextvar::{Context, baggage, context_var};
//!
//! #[context_var(baggage = "tenant.id")]
//! static TENANT: u64;
//!
//! // The sender. Any map of headers works, for example that of a message.
//! let mut headers = HashMap::new();
//! TENANT.sync_scope(7, || baggage::inject(&mut headers));
//! assert_eq!(headers["baggage"], "tenant.id=7");
//!
//! // The receiver.
//! Context::new().run(|| {
//!     let errors = baggage::extract(&headers);
//!     assert_eq!((TENANT.get(), errors.len()), (7, 0));
//! });
//! ```
//!
//! # Trust
//!
//! A client chooses the baggage that it sends. Extract baggage only from clients that may choose these
//! values: a public gateway should not extract. Every service that receives a request can read its baggage. A
//! `secret` variable cannot be declared as baggage.
//!
//! If a service also has OpenTelemetry's propagator installed, that propagator stores the clients' baggage in
//! OpenTelemetry's context, and [`inject`] sends it on. `inject` never sends a client's value under a key
//! that a variable declares, whether the variable is set or not. The next service can declare other keys.
//!
//! # Limits
//!
//! The limits are those of the specification: 8192 bytes and 64 entries. Entries beyond them are not sent,
//! and a longer header is not read. Values are percent-encoded, except whitespace at both ends, which is
//! lost. Properties (`;`) are ignored. If two variables declare the same key, only one of them is sent.
//!
//! [W3C Baggage]: https://www.w3.org/TR/baggage/

pub(crate) mod declared;

use std::error::Error;
use std::fmt;

use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::BaggagePropagator;

use self::declared::{Declared, declared};
use crate::context::copy_context;

/// Converts a variable's values to text and back.
///
/// ```
/// use std::time::Duration;
///
/// use contextvar::{baggage, context_var};
///
/// struct Milliseconds;
///
/// impl baggage::Codec<Duration> for Milliseconds {
///     fn encode(value: &Duration) -> String {
///         value.as_millis().to_string()
///     }
///
///     fn decode(text: &str) -> Option<Duration> {
///         text.parse().ok().map(Duration::from_millis)
///     }
/// }
///
/// #[context_var(baggage = "deadline", codec = Milliseconds)]
/// static DEADLINE: Duration;
///
/// DEADLINE.set(Duration::from_secs(2));
/// assert_eq!(baggage::headers()["baggage"], "deadline=2000");
/// ```
pub trait Codec<T> {
    /// Returns the value as text, which can contain any characters.
    fn encode(value: &T) -> String;

    /// Returns the value that the text stands for, or `None` if it stands for no value.
    fn decode(text: &str) -> Option<T>;
}

/// Writes the declared variables that are set in the current context to the header `baggage`.
///
/// After them it writes the entries of the current OpenTelemetry context, except those whose keys variables
/// declare. If there are no entries it writes no header.
///
/// It leaves out entries that would make the header exceed 8192 bytes or 64 entries: receivers would drop the
/// whole header.
///
/// `HashMap<String, String>` is an [`Injector`]. For an `http::HeaderMap` use [`inject_headers`].
pub fn inject(injector: &mut dyn Injector) {
    let context = copy_context();
    let mut outgoing = Outgoing { baggage: Baggage::new(), bytes: 0 };
    for field in declared() {
        if let Some(value) = field.var.encode(&context) {
            outgoing.add(field.key, &value, "");
        }
    }
    opentelemetry::Context::map_current(|current| {
        for (key, (value, metadata)) in current.baggage() {
            let key = key.as_str();
            if !declared().any(|field| field.key == key) {
                outgoing.add(key, value.as_str(), metadata.as_str());
            }
        }
    });
    if !outgoing.baggage.is_empty() {
        let context = opentelemetry::Context::new().with_baggage(outgoing.baggage);
        BaggagePropagator::new().inject_context(&context, injector);
    }
}

/// The entries that fit into one header.
struct Outgoing {
    baggage: Baggage,
    bytes: usize,
}

impl Outgoing {
    fn add(&mut self, key: &str, value: &str, metadata: &str) {
        const MAX_BYTES: usize = 8192;

        // The propagator encodes every character that needs it except two: `%`, which would start an encoded
        // character for a reader, and `\`, which other implementations reject. OpenTelemetry for Python reads
        // a `+` as a space.
        let value = value.trim().replace('%', "%25").replace('\\', "%5C").replace('+', "%2B");
        // The propagator decodes incoming properties and does not encode them again: they could forge an
        // entry or a header.
        let metadata = if metadata.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b',') {
            metadata
        } else {
            ""
        };
        // An upper bound: a character that the propagator might encode counts as encoded.
        let encoded =
            |byte: u8| if byte.is_ascii_alphanumeric() || b"-._~%/:".contains(&byte) { 1 } else { 3 };
        let bytes = self.bytes + key.len() + value.bytes().map(encoded).sum::<usize>() + metadata.len() + 3;
        if bytes <= MAX_BYTES {
            self.bytes = bytes;
            // This method limits the number of entries.
            self.baggage.insert_with_metadata(key.to_owned(), value, metadata);
        }
    }
}

/// Writes the baggage of the current context to HTTP headers, as [`inject`] does.
pub fn inject_headers(headers: &mut http::HeaderMap) {
    struct Headers<'a>(&'a mut http::HeaderMap);

    impl Injector for Headers<'_> {
        fn set(&mut self, key: &str, value: String) {
            let name = http::HeaderName::from_bytes(key.as_bytes());
            if let (Ok(name), Ok(value)) = (name, http::HeaderValue::try_from(value)) {
                self.0.insert(name, value);
            }
        }
    }

    inject(&mut Headers(headers));
}

/// Returns HTTP headers with the baggage of the current context, as [`inject`] writes it. For a client's
/// request: `reqwest_client.get(url).headers(baggage::headers())`.
pub fn headers() -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    inject_headers(&mut headers);
    headers
}

/// Sets the declared variables in the current context from the header `baggage`. Returns an error for each
/// entry that cannot set its variable.
///
/// Such a variable stays as it was, and so does a variable without an entry. Entries that no variable
/// declares are skipped, and so is text that does not follow the specification. If a key occurs twice, it
/// counts once.
pub fn extract(extractor: &dyn Extractor) -> Vec<BaggageError> {
    let extracted = BaggagePropagator::new().extract_with_context(&opentelemetry::Context::new(), extractor);
    let baggage = extracted.baggage();
    let set = |field: &Declared| {
        let value = baggage.get(field.key)?;
        field.var.decode(value.as_str()).err().map(|reason| BaggageError { key: field.key, reason })
    };
    declared().filter_map(set).collect()
}

/// Sets the declared variables from HTTP headers, as [`extract`] does. Several `baggage` headers count as
/// one.
pub fn extract_headers(headers: &http::HeaderMap) -> Vec<BaggageError> {
    struct Headers(String);

    impl Extractor for Headers {
        fn get(&self, key: &str) -> Option<&str> {
            (key == BAGGAGE).then_some(&*self.0)
        }

        fn keys(&self) -> Vec<&str> {
            vec![BAGGAGE]
        }
    }

    const BAGGAGE: &str = "baggage";
    let values: Vec<&str> = headers.get_all(BAGGAGE).iter().filter_map(|value| value.to_str().ok()).collect();
    if values.is_empty() { Vec::new() } else { extract(&Headers(values.join(","))) }
}

/// Returned by [`extract`] for an incoming entry that cannot set its variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaggageError {
    key: &'static str,
    reason: &'static str,
}

impl BaggageError {
    /// Returns the key that the variable declares.
    pub fn key(&self) -> &'static str {
        self.key
    }
}

impl fmt::Display for BaggageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "baggage entry `{}` was ignored: {}", self.key, self.reason)
    }
}

impl Error for BaggageError {}
