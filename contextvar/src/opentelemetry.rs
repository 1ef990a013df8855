//! Puts context variables on the spans, the log records and the metrics of [OpenTelemetry].
//!
//! - [`ContextSpanProcessor`] sets the variables as attributes of each span when the span starts.
//! - [`ContextLogProcessor`] does the same for each log record.
//! - [`ContextTracer`] is for tracing-opentelemetry, which starts a span later than the code opens it.
//! - [`MetricAttributes`] returns the variables for a measurement. It has other rules: see its page.
//!
//! Spans and log records show the variables that are marked [`log`](crate::ContextVar::log) and set in the
//! current context, and the defaults of those that are declared with `#[context_var(log, log_default)]`, as in
//! logs. A `secret` variable is never shown.
//!
//! ```
//! use contextvar::ContextVar;
//! use contextvar::opentelemetry::ContextSpanProcessor;
//! use opentelemetry::KeyValue;
//! use opentelemetry::trace::{Tracer, TracerProvider};
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//!
//! static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
//! static TENANT: ContextVar<&str> = ContextVar::new("tenant").log();
//!
//! let provider = SdkTracerProvider::builder()
//!     .with_span_processor(ContextSpanProcessor::new())
//!     // .with_batch_exporter(exporter)
//!     .build();
//! let tracer = provider.tracer("shop");
//!
//! REQUEST_ID.set(7);
//! TENANT.set("acme");
//! let span = tracer.start("load the cart");
//! let attributes = span.exported_data().unwrap().attributes;
//! assert_eq!(attributes, [KeyValue::new("request_id", 7), KeyValue::new("tenant", "acme")]);
//! ```
//!
//! # Types
//!
//! Numbers, booleans and text keep their types. OpenTelemetry has no integer larger than an `i64`: a larger
//! `u64`, an `i128` and a `u128` are text. A value that is declared with `#[context_var(log = serde)]` is a
//! map or a list in a log record, and JSON text on a span. A map leaves out members that are `null`. A value
//! of another type is the text of its `Display` or `Debug`.
//!
//! # Names
//!
//! An attribute that a span has when it starts keeps its name, and so does one that a log record has. A
//! variable of the same name is shown as `name_2`, or with the next number that is free, as in logs. An
//! attribute that code sets after the start can have the name of a variable: the span then has both.
//!
//! # Limits
//!
//! A processor sets at most 32 attributes on a span or record. [`with_max_attributes`] changes that number,
//! and [`with_filter`] selects variables by name. The limits of the SDK apply too: a span has at most 128
//! attributes unless the provider says otherwise.
//!
//! # Cost
//!
//! The feature adds the crate `opentelemetry_sdk` to the build, without its exporters. A span that is not
//! recorded costs nothing, and neither does a span or record for which no variable is set. If one is set,
//! the processor reads the attributes that the span has, and the SDK can only return a copy of them. The SDK
//! copies the data of each span for each processor when the span ends, if it has more than one.
//!
//! # OpenTelemetry's context
//!
//! With this feature, [`task`](crate::task) and [`thread`](crate::thread) also carry OpenTelemetry's current
//! context along: a span that is active where work is started is the parent of the spans of that work.
//!
//! [OpenTelemetry]: https://opentelemetry.io
//! [`with_filter`]: ContextSpanProcessor::with_filter
//! [`with_max_attributes`]: ContextSpanProcessor::with_max_attributes

mod attributes;
mod logs;
mod metrics;
mod spans;
mod tracer;
mod value;

pub use logs::ContextLogProcessor;
pub use metrics::MetricAttributes;
pub use spans::ContextSpanProcessor;
pub use tracer::ContextTracer;
