//! Context variables across processes: as [W3C Baggage], by OpenTelemetry's own propagator.
//!
//! A variable that is declared with `#[context_var(baggage = "key")]` goes out with each request that is
//! [injected](inject) into, where it is set, and is set from each that is [extracted](extract) from. No other variable
//! ever goes out, and none that was not declared is ever set.
//!
//! The type has a `Display` and a `FromStr`, or a [`Codec`] is given: `#[context_var(baggage = "key", codec = MyCodec)]`.
//!
//! ```
//! use std::collections::HashMap;
//!
//! use contextvar::{Context, baggage, context_var};
//!
//! #[context_var(baggage = "tenant.id")]
//! static TENANT: u64;
//!
//! // On the way out; any map of headers will do, such as a message's.
//! let mut headers = HashMap::new();
//! TENANT.sync_scope(7, || baggage::inject(&mut headers));
//! assert_eq!(headers["baggage"], "tenant.id=7");
//!
//! // On the other side.
//! Context::new().run(|| {
//!     let ignored = baggage::extract(&headers);
//!     assert_eq!((TENANT.get(), ignored.len()), (7, 0));
//! });
//! ```
//!
//! # Trust
//!
//! What comes in is what a client wrote. Take it from clients that may say so, and from others nothing: a public
//! gateway should not extract. What goes out can be read by whoever gets the request; a variable that is `secret`
//! can't be declared.
//!
//! OpenTelemetry's own propagator, where a service has it installed, hands on what clients send, and [`inject`]
//! sends that too. A key that a variable declares is never sent for a client, whether the variable is set or not; but
//! the next service may declare others.
//!
//! The limits are those of the specification: 8192 bytes and 64 entries. What is over is not sent, and a header that
//! is longer is not read. Values are percent-encoded, but for white space at both ends, which is lost.
//! Properties (`;`) are not looked at. Two variables should not have the same key: one of them is sent.
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

/// How a value is written as text, and read from it.
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
    /// The value as text. Any characters will do.
    fn encode(value: &T) -> String;

    /// The value, or `None` where the text is none.
    fn decode(text: &str) -> Option<T>;
}

/// Writes the variables that are declared and set in the current context, as header `baggage`. After them what the
/// current OpenTelemetry context has, but for the keys that variables declare: those are the variables' alone. Where
/// there is nothing to write it writes nothing.
///
/// What would make the header longer than 8192 bytes is left out, and so is what comes after 64 entries: receivers would drop
/// the whole of it.
///
/// `HashMap<String, String>` is an [`Injector`]; for an `http::HeaderMap` there is [`inject_headers`].
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

/// Entries that fit into one header.
struct Outgoing {
    baggage: Baggage,
    bytes: usize,
}

impl Outgoing {
    fn add(&mut self, key: &str, value: &str, metadata: &str) {
        const MOST_BYTES: usize = 8192;

        // The propagator encodes all that has to be but `%`, which it would take for an encoded character when it reads,
        // and `\`, which others refuse. A `+` need not be encoded; but OpenTelemetry for Python reads it as a space.
        let value = value.trim().replace('%', "%25").replace('\\', "%5C").replace('+', "%2B");
        // It has decoded properties that came in, and does not encode them: they could forge an entry, or a header.
        let metadata = if metadata.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b',') {
            metadata
        } else {
            ""
        };
        // At most: what is not sure to be left as it is counts as encoded.
        let encoded =
            |byte: u8| if byte.is_ascii_alphanumeric() || b"-._~%/:".contains(&byte) { 1 } else { 3 };
        let bytes = self.bytes + key.len() + value.bytes().map(encoded).sum::<usize>() + metadata.len() + 3;
        if bytes <= MOST_BYTES {
            self.bytes = bytes;
            // The number of entries is limited there.
            self.baggage.insert_with_metadata(key.to_owned(), value, metadata);
        }
    }
}

/// [`inject`] into HTTP headers.
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

/// HTTP headers with what [`inject`] writes: for a request of a client, as in
/// `reqwest_client.get(url).headers(baggage::headers())`.
pub fn headers() -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    inject_headers(&mut headers);
    headers
}

/// Sets the variables that are declared from the header `baggage`, in the current context. Gives those back that could
/// not be set, to be ignored or reported; they are left as they were, and so are those that the header does not have.
///
/// Entries that nobody declared and text that is not in the format of the specification are passed over. A key that is
/// there twice counts once.
pub fn extract(extractor: &dyn Extractor) -> Vec<BaggageError> {
    let extracted = BaggagePropagator::new().extract_with_context(&opentelemetry::Context::new(), extractor);
    let baggage = extracted.baggage();
    let set = |field: &Declared| {
        let value = baggage.get(field.key)?;
        field.var.decode(value.as_str()).err().map(|why| BaggageError { key: field.key, why })
    };
    declared().filter_map(set).collect()
}

/// [`extract`] from HTTP headers. Several of the same name count as one.
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

/// An entry of incoming baggage that a variable could not be set from. See [`extract`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaggageError {
    key: &'static str,
    why: &'static str,
}

impl BaggageError {
    /// The key, as the variable declares it.
    pub fn key(&self) -> &'static str {
        self.key
    }
}

impl fmt::Display for BaggageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "baggage entry `{}` was ignored: {}", self.key, self.why)
    }
}

impl Error for BaggageError {}
