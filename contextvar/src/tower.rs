//! Contexts for HTTP servers and clients made of [tower](tower_service) services: axum, tonic, hyper.
//!
//! [`ContextLayer`] gives each request a context, [`MakeInContext`] each connection.

mod connection;
mod request;

pub use connection::{MakeFuture, MakeInContext, ServiceInContext};
pub use request::{ContextLayer, ContextService, ResponseFuture};
