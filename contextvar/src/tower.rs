//! Contexts for HTTP servers and clients made of [tower](tower_service) services: axum, tonic, hyper.
//!
//! [`ContextLayer`] gives each request a context, [`MakeContextService`] each connection.

#[cfg(feature = "baggage")]
mod client;
mod connection;
mod request;

#[cfg(feature = "baggage")]
pub use client::{InjectBaggage, InjectBaggageLayer};
pub use connection::{ConnectionService, MakeContextService, MakeContextServiceFuture};
pub use request::{ContextLayer, ContextService, Rejection, ResponseFuture};
