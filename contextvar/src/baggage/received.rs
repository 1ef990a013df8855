use std::fmt;

use http::HeaderMap;
use opentelemetry::propagation::Extractor;

use super::{BaggageError, extract, extract_headers, trace};
use crate::context::Context;
use crate::hand_over::{Kind, Place};
use crate::inherit::Carried;
use crate::scoped::Scoped;

/// Returns a new context for the work that a message asks for: with the variables and the entries that
/// [`extract`] takes from the message, and with the trace of its `traceparent` and `tracestate`.
///
/// `HashMap<String, String>` is an [`Extractor`]. For an `http::HeaderMap` use [`receive_headers`].
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
///
/// # Examples
///
/// ```standalone_crate
/// use std::collections::HashMap;
///
/// use contextvar::{baggage, context_var};
///
/// #[context_var(baggage = "tenant")]
/// static TENANT: String;
///
/// async fn handle(payload: &str) -> String {
///     format!("{payload} for {}", TENANT.get())
/// }
///
/// # futures::executor::block_on(async {
/// let headers = HashMap::from([("baggage".to_owned(), "tenant=acme".to_owned())]);
/// assert_eq!(baggage::receive(&headers).scope(handle("an order")).await, "an order for acme");
/// # });
/// ```
#[track_caller]
pub fn receive(extractor: &dyn Extractor) -> Received {
    let mut context = Context::new();
    let errors = context.run(|| extract(extractor));
    Received { context, trace: trace::extract(extractor), errors }
}

/// Returns a new context for the work that a request asks for, from HTTP headers, as [`receive`] does.
///
/// In a server, [`ContextLayer::extract_baggage`](../tower/struct.ContextLayer.html#method.extract_baggage)
/// does this for each request.
///
/// # Panics
///
/// Panics if two variables of the process declare the same key.
#[track_caller]
pub fn receive_headers(headers: &HeaderMap) -> Received {
    let mut context = Context::new();
    let errors = context.run(|| extract_headers(headers));
    Received { context, trace: trace::extract_headers(headers), errors }
}

/// A context that was made from a message. Returned by [`receive`].
#[must_use = "a context does nothing unless work runs in it"]
pub struct Received {
    context: Context,
    /// The current OpenTelemetry context with the message's span. `None` leaves the current one.
    trace: Option<opentelemetry::Context>,
    errors: Vec<BaggageError>,
}

impl Received {
    /// Returns an error for each entry that was ignored. See [`extract`].
    pub fn errors(&self) -> &[BaggageError] {
        &self.errors
    }

    /// Returns the context, for example to set variables that the message does not carry.
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// use contextvar::{ContextVar, baggage};
    ///
    /// static MESSAGE_ID: ContextVar<u64> = ContextVar::new("message_id");
    ///
    /// let mut received = baggage::receive(&HashMap::new());
    /// received.context_mut().set(&MESSAGE_ID, 7);
    /// received.run(|| assert_eq!(MESSAGE_ID.get(), 7));
    /// ```
    pub fn context_mut(&mut self) -> &mut Context {
        &mut self.context
    }

    /// Wraps a future so that it runs in the context and in the trace, at each poll and while it is dropped.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn scope<F>(self, future: F) -> Scoped<F> {
        let carried = self.trace.map_or(Carried::NOTHING, Carried::opentelemetry);
        Scoped::carrying(self.context.hand_over(Kind::Scope, Place::here()), carried, future)
    }

    /// Calls `f` in the context and in the trace.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn run<R>(self, f: impl FnOnce() -> R) -> R {
        self.scope(f).call(|f| f())
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("context", &self.context)
            .field("trace", &self.trace)
            .field("errors", &self.errors)
            .finish()
    }
}
