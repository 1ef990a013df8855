//! Adds context variables to the lines that [`tracing`] logs, and carries spans into tasks.
//!
//! Variables that are marked [`log`](crate::ContextVar::log) appear in each event that the code of a request
//! logs: in nested functions, spawned tasks, blocking calls, threads. No span needs to be open. Events that
//! are filtered out cost nothing.
//!
//! ```
//! use contextvar::ContextVar;
//! use contextvar::tracing::ContextFormat;
//! use tracing::info;
//!
//! static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
//! static TENANT: ContextVar<&str> = ContextVar::new("tenant").log();
//!
//! tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
//!
//! REQUEST_ID.set(7);
//! TENANT.set("acme");
//! info!("saved"); // .. INFO shop: saved request_id=7 tenant=acme
//! ```
//!
//! A value with spaces, quotes or control characters, which a client could have chosen, is quoted and
//! escaped.
//!
//! With `fmt().json()` the variables are members of the event's `fields`. Numbers and booleans keep their
//! types:
//! `{"timestamp":..,"level":"INFO","fields":{"request_id":7,"tenant":"acme","message":"saved"},"target":"shop"}`.
//!
//! # Names
//!
//! No line has a name twice. If a field of the event has the name of a variable, the variable is shown as
//! `name_2`, or with the next number that is free. In JSON, the same applies to the names of the format:
//! `timestamp`, `level`, `target`, `message`, `fields`, `span`, `spans`, `filename`, `line_number`,
//! `threadId` and `threadName`, whether the fields are flattened or not.
//!
//! # Other layers
//!
//! - A format of your own: [`ContextFormat::around`].
//! - A layer that formats lines of JSON or text itself: [`ContextWriter`], around its writer.
//! - A layer that shows the fields of spans and nothing else: [`record_in_span`].
//! - The line for a span that is closed: [`SpanContextLayer`].
//!
//! [The guide](crate::guide::logs) has recipes for the loggers and reporters of other crates.
//!
//! # Spans
//!
//! With this feature, work that is handed to another task or thread carries the current span along. See
//! [`carry`](crate::carry).

mod fields;
mod format;
mod json;
mod spans;
mod writer;

pub use format::{Around, ContextFormat};
pub use spans::{SpanContextLayer, record_in_span};
pub use writer::{ContextWriter, LineWriter};
