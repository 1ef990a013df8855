//! Pages that complement the documentation of the items.
//!
//! To begin:
//!
//! - [Getting started](getting_started): first programs with axum, tonic, actix-web and hyper, for a message
//!   consumer, a command-line tool and a test.
//! - [Coming from](coming_from): translations from Python, `task_local!`, tracing, OpenTelemetry, Java, .NET,
//!   Node.js, Go and Kotlin.
//!
//! To look up:
//!
//! - [Does the context follow?](propagation): one row for each way to hand over work: tasks, threads,
//!   callbacks, streams and connections.
//! - [Ways to lose a context](lost): what code without a context sees, how the loss is reported, and what to
//!   write instead.
//! - [Errors](errors): every message of the library, its cause, and what to write.
//! - [Recipes](recipes): short programs for servers, pools, caches, threads and tests.
//! - [Testing](testing): tests that start from an empty context.
//!
//! To see the variables elsewhere:
//!
//! - [Logs and error reports](logs): which output shows which variables, and recipes for loggers and error
//!   reporters.
//! - [Traces and metrics](telemetry): variables in OpenTelemetry's spans and log records, and in metrics.
//! - [Across processes](baggage): variables in the headers of requests and messages.
//! - [Python](python): one context for Python and Rust.
//! - [The live view](live_view): which requests are live, where they are, and their values.
//!
//! To decide:
//!
//! - [Versions](versions): which versions of tokio, axum and others each release works with, and what a new
//!   version may change.
//! - [Limits](limits): what does not work, or works differently from what you might expect.
//! - [Security](security): the promises about leaks, the feature that each needs, and their tests.
//! - [Lints](lints): how rustc and clippy treat an annotated function.

// `tests/recipes` compiles and runs the programs of these two pages. It depends on the crates that the
// programs use.
#[cfg_attr(not(doctest), doc = include_str!("guide/getting_started.md"))]
pub mod getting_started {}

#[cfg_attr(not(doctest), doc = include_str!("guide/recipes_for_servers.md"))]
#[cfg_attr(not(doctest), doc = include_str!("guide/recipes_for_data_and_tasks.md"))]
pub mod recipes {}

#[doc = include_str!("guide/coming_from.md")]
pub mod coming_from {}

#[doc = include_str!("guide/propagation.md")]
pub mod propagation {}

#[doc = include_str!("guide/lost.md")]
pub mod lost {}

#[doc = include_str!("guide/errors.md")]
pub mod errors {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

// `tests/ecosystem` compiles and runs the programs of this page. It depends on the crates that the programs
// use.
#[cfg_attr(not(doctest), doc = include_str!("guide/logs.md"))]
pub mod logs {}

#[doc = include_str!("guide/telemetry.md")]
pub mod telemetry {}

#[doc = include_str!("guide/baggage.md")]
pub mod baggage {}

#[doc = include_str!("guide/python.md")]
pub mod python {}

#[doc = include_str!("guide/live_view.md")]
pub mod live_view {}

#[doc = include_str!("guide/versions.md")]
pub mod versions {}

#[doc = include_str!("guide/limits.md")]
pub mod limits {}

#[doc = include_str!("guide/security.md")]
pub mod security {}

#[doc = include_str!("guide/lints.md")]
pub mod lints {}
