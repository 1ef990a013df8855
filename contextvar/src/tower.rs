//! Contexts for HTTP servers and clients made of [tower](tower_service) services: axum, tonic, hyper.
//!
//! [`ContextLayer`] gives each request a context, [`MakeInContext`] each connection.

#[cfg(feature = "baggage")]
mod client;
mod connection;
mod request;

#[cfg(feature = "baggage")]
pub use client::{BaggageLayer, BaggageService};
pub use connection::{MakeFuture, MakeInContext, ServiceInContext};
pub use request::{ContextLayer, ContextService, ResponseFuture};
