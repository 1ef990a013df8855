//! Sends context variables to other processes as [W3C Baggage].
//!
//! Declare a variable with `#[context_var(baggage = "key")]`. If it is set, [`inject`] adds it to an outgoing
//! request. [`extract`] sets it from an incoming request. No other variable is ever sent or set.
//!
//! The type needs `Display` and `FromStr`, or else a [`Codec`]:
//! `#[context_var(baggage = "key", codec = MyCodec)]`.
//!
//! ```standalone_crate
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
//! # Entries that this process does not declare
//!
//! [`extract`] keeps them in the current context, and [`inject`] hands them on. So a value reaches the third
//! service although the second one does not know it. They follow into tasks and copies as any variable does.
//! The `Debug` of the context shows their number as `undeclared_baggage`.
//!
//! ```standalone_crate
//! use std::collections::HashMap;
//!
//! use contextvar::{Context, baggage, context_var};
//!
//! #[context_var(baggage = "tenant")]
//! static TENANT: String;
//!
//! let incoming = HashMap::from([("baggage".to_owned(), "tenant=acme,session=s1".to_owned())]);
//! let mut outgoing = HashMap::new();
//! Context::new().run(|| {
//!     baggage::extract(&incoming);
//!     TENANT.set("globex".to_owned());
//!     baggage::inject(&mut outgoing);
//! });
//! assert_eq!(outgoing["baggage"], "session=s1,tenant=globex");
//! ```
//!
//! [`extract_declared`] only sets the declared variables.
//!
//! # The trace
//!
//! OpenTelemetry's trace crosses with the baggage, in the headers `traceparent` and `tracestate` of
//! [W3C Trace Context]. [`inject`] writes them if the current OpenTelemetry context has a span.
//!
//! On the other side, [`receive`] and `ContextLayer::extract_baggage` make the span of these headers current
//! while the work runs, unless a span of the same trace is current already, such as that of a layer for
//! tracing. So the spans of the work are its children. [`extract`] cannot do that: a function that returns
//! cannot leave a span behind.
//!
//! A service without spans of its own hands the trace on.
//!
//! [W3C Trace Context]: https://www.w3.org/TR/trace-context/
//!
//! # Trust
//!
//! A client chooses the baggage that it sends. Extract baggage only from clients that may choose these
//! values. A public gateway should not extract, or should use [`extract_declared`]: [`extract`] hands a
//! client's undeclared entries on to the next services, and these can declare other keys. A client also
//! chooses the trace that [`receive`] and `ContextLayer::extract_baggage` continue, and whether it is sampled.
//!
//! Every service that receives a request can read its baggage. A `secret` variable cannot be declared as
//! baggage.
//!
//! [`inject`] never sends a client's value under a key that a variable of this process declares, whether the
//! variable is set or not. If OpenTelemetry's propagator is installed as well, that propagator stores the
//! clients' baggage in OpenTelemetry's context, and [`inject`] sends it on.
//!
//! # Keys
//!
//! A key belongs to one variable of the process. If two variables declare the same key, every function of
//! this module panics with the paths of both, and so do `ContextLayer::extract_baggage` and
//! `InjectBaggageLayer::new`.
//!
//! If a header repeats a key, the entries set their variable one after the other, so the last one that can be
//! read counts. OpenTelemetry does the same.
//!
//! # Limits
//!
//! The limits are those of the specification: 8192 bytes and 64 entries. Entries beyond them are neither sent
//! nor read. Declared variables have the first claim to the room in an outgoing header, and then entries that
//! came in.
//!
//! Values are percent-encoded, except whitespace at both ends, which is lost. Properties (`;`) of declared
//! entries are ignored, and those of other entries are handed on.
//!
//! [W3C Baggage]: https://www.w3.org/TR/baggage/

pub(crate) mod declared;
mod error;
mod header;
mod incoming;
mod outgoing;
mod percent;
mod received;
mod stored;
pub(crate) mod trace;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};

pub use self::error::BaggageError;
use self::incoming::Undeclared;
pub use self::received::{Received, receive, receive_headers};
pub use self::stored::{restore, store};

static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Converts a variable's values to text and back.
///
/// ```standalone_crate
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
#[diagnostic::on_unimplemented(
    note = "see https://docs.rs/contextvar/latest/contextvar/guide/errors#codec-of-another-type"
)]
pub trait Codec<T> {
    /// Returns the value as text, which can contain any characters.
    fn encode(value: &T) -> String;

    /// Returns the value that the text stands for, or `None` if it stands for no value.
    fn decode(text: &str) -> Option<T>;
}

/// Writes the baggage of the current context to the header `baggage`. If there is none it writes no header.
/// Writes the span of the current OpenTelemetry context, if it has one, to `traceparent` and `tracestate`.
///
/// The header has these entries, in this order:
///
/// 1. the entries that [`extract`] has kept, because no variable declares their keys, in their order
/// 2. the declared variables that are set, in the order of their keys
/// 3. the entries of the current OpenTelemetry context with other keys
///
/// It leaves out entries that would make the header exceed 8192 bytes or 64 entries, because receivers would
/// drop the whole header. The declared variables have the first claim to the room, and the entries of
/// OpenTelemetry the last.
///
/// `HashMap<String, String>` is an [`Injector`]. For an `http::HeaderMap` use [`inject_headers`].
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```standalone_crate
/// use std::collections::HashMap;
///
/// use contextvar::{baggage, context_var};
///
/// #[context_var(baggage = "tenant")]
/// static TENANT: String;
///
/// let mut message = HashMap::new();
/// TENANT.sync_scope("acme".to_owned(), || baggage::inject(&mut message));
/// assert_eq!(message["baggage"], "tenant=acme");
/// ```
#[track_caller]
pub fn inject(injector: &mut dyn Injector) {
    outgoing::for_each_header(|name, text| injector.set(name.as_str(), text));
}

/// Writes the baggage of the current context to HTTP headers, as [`inject`] does.
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```standalone_crate
/// use contextvar::{baggage, context_var};
///
/// #[context_var(baggage = "tenant")]
/// static TENANT: String;
///
/// let mut request = http::Request::new(());
/// TENANT.sync_scope("acme".to_owned(), || baggage::inject_headers(request.headers_mut()));
/// assert_eq!(request.headers()["baggage"], "tenant=acme");
/// ```
#[track_caller]
pub fn inject_headers(headers: &mut HeaderMap) {
    outgoing::for_each_header(|name, text| {
        // A `tracestate` can have characters that a header cannot have.
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    });
}

/// Returns HTTP headers with the baggage of the current context, as [`inject`] writes it. For a client's
/// request: `reqwest_client.get(url).headers(baggage::headers())`.
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```standalone_crate
/// use contextvar::{baggage, context_var};
///
/// #[context_var(baggage = "tenant")]
/// static TENANT: String;
///
/// TENANT.set("acme".to_owned());
/// assert_eq!(baggage::headers()["baggage"], "tenant=acme");
/// ```
#[track_caller]
pub fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    inject_headers(&mut headers);
    headers
}

/// Sets the declared variables in the current context from the header `baggage`, and keeps the other entries
/// for [`inject`]. Returns an error for each entry that was ignored.
///
/// An entry is ignored
///
/// - if its text is not a value of the variable's type
/// - if it is malformed: it has no `=`, no valid key, or a byte that is not printable ASCII, or its
///   percent-encoding does not decode to UTF-8
/// - if it is beyond 8192 bytes or 64 entries. One error stands for all entries beyond the limit.
/// - if the current context cannot be written
///
/// The variable of such an entry stays as it was, and so does a variable without an entry. All other entries
/// count. The entries kept here replace those that an earlier call has kept in the same context, also if
/// there is no header.
///
/// `HashMap<String, String>` is an [`Extractor`]. For an `http::HeaderMap` use [`extract_headers`].
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```standalone_crate
/// use std::collections::HashMap;
///
/// use contextvar::{Context, baggage, context_var};
///
/// #[context_var(baggage = "user.id")]
/// static USER_ID: u64;
///
/// #[context_var(baggage = "tenant")]
/// static TENANT: String;
///
/// let message = HashMap::from([("baggage".to_owned(), "user.id=ada,tenant=acme".to_owned())]);
/// Context::new().run(|| {
///     let errors = baggage::extract(&message);
///     assert_eq!((errors.len(), errors[0].key()), (1, "user.id"));
///     assert_eq!((TENANT.get().as_str(), USER_ID.is_set()), ("acme", false));
/// });
/// ```
#[track_caller]
pub fn extract(extractor: &dyn Extractor) -> Vec<BaggageError> {
    extract_from(extractor, Undeclared::HandOn)
}

/// Sets the declared variables from the header `baggage`, as [`extract`] does. Does not hand on other
/// entries.
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```standalone_crate
/// use std::collections::HashMap;
///
/// use contextvar::{Context, baggage, context_var};
///
/// #[context_var(baggage = "tenant")]
/// static TENANT: String;
///
/// let message = HashMap::from([("baggage".to_owned(), "tenant=acme,session=s1".to_owned())]);
/// Context::new().run(|| {
///     baggage::extract_declared(&message);
///     assert_eq!(baggage::headers()["baggage"], "tenant=acme");
/// });
/// ```
#[track_caller]
pub fn extract_declared(extractor: &dyn Extractor) -> Vec<BaggageError> {
    extract_from(extractor, Undeclared::Ignore)
}

#[track_caller]
fn extract_from(extractor: &dyn Extractor, undeclared: Undeclared) -> Vec<BaggageError> {
    let headers = extractor.get_all(BAGGAGE.as_str()).unwrap_or_default();
    incoming::extract(headers.into_iter().map(str::as_bytes), undeclared)
}

/// Sets the declared variables from HTTP headers and keeps the other entries, as [`extract`] does. Several
/// `baggage` headers count as one.
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```standalone_crate
/// use contextvar::{Context, baggage, context_var};
///
/// #[context_var(baggage = "tenant")]
/// static TENANT: String;
///
/// let request = http::Request::builder().header("baggage", "tenant=acme").body(()).unwrap();
/// Context::new().run(|| {
///     assert_eq!(baggage::extract_headers(request.headers()), []);
///     assert_eq!(TENANT.get(), "acme");
/// });
/// ```
#[track_caller]
pub fn extract_headers(headers: &HeaderMap) -> Vec<BaggageError> {
    extract_from_headers(headers, Undeclared::HandOn)
}

/// Sets the declared variables from HTTP headers, as [`extract_headers`] does. Does not hand on other
/// entries.
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```
/// use contextvar::{Context, baggage};
///
/// let request = http::Request::builder().header("baggage", "session=s1").body(()).unwrap();
/// Context::new().run(|| {
///     assert_eq!(baggage::extract_declared_headers(request.headers()), []);
///     assert!(baggage::headers().is_empty());
/// });
/// ```
#[track_caller]
pub fn extract_declared_headers(headers: &HeaderMap) -> Vec<BaggageError> {
    extract_from_headers(headers, Undeclared::Ignore)
}

#[track_caller]
fn extract_from_headers(headers: &HeaderMap, undeclared: Undeclared) -> Vec<BaggageError> {
    if !contains(headers, &BAGGAGE) {
        return incoming::extract_nothing(undeclared);
    }
    incoming::extract(headers.get_all(&BAGGAGE).iter().map(HeaderValue::as_bytes), undeclared)
}

/// Returns true if there is a header of this name.
fn contains(headers: &HeaderMap, name: &HeaderName) -> bool {
    // Comparing a few names takes less than hashing one.
    if headers.keys_len() <= 8 { headers.keys().any(|key| key == name) } else { headers.contains_key(name) }
}
