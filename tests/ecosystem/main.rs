//! Loggers and error reporters of others, with the recipes of the guide's page `logs`.
//!
//! Each module has a recipe for one crate, which the page shows, and tests of it.

mod anyhow;
mod bunyan;
mod env_logger;
mod eyre;
mod fern;
mod journald;
mod json;
mod json_subscriber;
mod log_tracer;
mod non_blocking;
mod own_error;
mod page;
mod panics;
mod sentry;
mod sentry_hub;
mod slog;
mod support;
