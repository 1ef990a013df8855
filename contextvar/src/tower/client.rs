use std::task::{self, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use crate::baggage;

/// Adds the [baggage](crate::baggage) of the current context to each request of a client that is a tower
/// service: hyper-util's client, a tonic channel.
///
/// ```standalone_crate
/// use std::convert::Infallible;
///
/// use contextvar::context_var;
/// use contextvar::tower::InjectBaggageLayer;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[context_var(baggage = "tenant.id")]
/// static TENANT: u64;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let transport = service_fn(|request: http::Request<()>| async move { Ok::<_, Infallible>(request.headers()["baggage"].clone()) });
/// let client = InjectBaggageLayer::new().layer(transport);
/// TENANT.set(7);
/// let sent = client.oneshot(http::Request::new(())).await.unwrap();
/// assert_eq!(sent, "tenant.id=7");
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct InjectBaggageLayer(());

impl InjectBaggageLayer {
    /// Returns the layer.
    ///
    /// # Panics
    ///
    /// Panics if two variables of the process declare the same key.
    #[track_caller]
    pub fn new() -> Self {
        baggage::declared::declared();
        InjectBaggageLayer(())
    }
}

impl Default for InjectBaggageLayer {
    #[track_caller]
    fn default() -> Self {
        InjectBaggageLayer::new()
    }
}

impl<S> Layer<S> for InjectBaggageLayer {
    type Service = InjectBaggage<S>;

    fn layer(&self, inner: S) -> InjectBaggage<S> {
        InjectBaggage { inner }
    }
}

/// A client that adds baggage to its requests. Made by [`InjectBaggageLayer`].
#[derive(Clone, Debug)]
pub struct InjectBaggage<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for InjectBaggage<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        baggage::inject_headers(request.headers_mut());
        self.inner.call(request)
    }
}
