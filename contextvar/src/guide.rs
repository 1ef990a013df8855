//! Pages to read beside the documentation of the items.
//!
//! - [Propagation](propagation): does the context follow into tasks, threads, callbacks, streams and
//!   connections? One row for each way of handing work over.
//! - [Ways to lose a context](lost): what code sees then, how it is reported, and what to write instead.
//! - [Baggage](baggage): context variables across processes.
//! - [Telemetry](telemetry): variables in OpenTelemetry's spans and log records, and in metrics.
//! - [Logs and error reports](logs): what shows where, and recipes for loggers and error reporters.
//! - [Testing](testing): tests that start from an empty context.
//! - [Migrating](migrating): programs before and after, from Python, `tokio::task_local!`, `tracing` and
//!   `log`.
//! - [Limits](limits): what does not work, or works differently than you might expect.
//! - [Security](security): what is promised about leaks, under which feature, and how it is tested.
//! - [Lints](lints): how rustc and clippy see an annotated function.

#[doc = include_str!("guide/propagation.md")]
pub mod propagation {}

#[doc = include_str!("guide/lost.md")]
pub mod lost {}

#[doc = include_str!("guide/baggage.md")]
pub mod baggage {}

#[doc = include_str!("guide/telemetry.md")]
pub mod telemetry {}
// Its programs are compiled and run by `tests/ecosystem`, which depends on the crates that they use.
#[cfg_attr(not(doctest), doc = include_str!("guide/logs.md"))]
pub mod logs {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/migrating.md")]
pub mod migrating {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/security.md")]
pub mod security {}

#[doc = include_str!("guide/lints.md")]
pub mod lints {}

/// The programs in the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
