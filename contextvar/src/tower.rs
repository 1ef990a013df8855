//! Contexts for HTTP servers and clients that consist of [tower](tower_service) services: axum, tonic, hyper.
//!
//! [`ContextLayer`] gives each request a context. [`MakeContextService`] gives each connection one.
//! `InjectBaggageLayer` (feature `baggage`) adds the context's baggage to a client's requests.

#[cfg(feature = "baggage")]
mod client;
mod connection;
mod layer;
mod response_header;
mod service;
mod settings;

#[cfg(feature = "baggage")]
pub use client::{InjectBaggage, InjectBaggageLayer};
pub use connection::{ConnectionService, MakeContextService, MakeContextServiceFuture};
pub use layer::ContextLayer;
pub use service::{ContextService, ResponseFuture};
pub use settings::Rejection;
