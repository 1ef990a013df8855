//! Adds context variables to OpenTelemetry's metrics.
//!
//! With this feature, [`task`](crate::task) and [`thread`](crate::thread) also carry OpenTelemetry's current
//! context along.

mod metrics;

pub use metrics::MetricAttributes;
