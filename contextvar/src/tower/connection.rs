use std::pin::Pin;
use std::task::{self, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use crate::context::{Context, inherit_context};
use crate::current::task_id;
use crate::hand_over::{Kind, Place};
use crate::scoped::{Scoped, ScopedAndContext};

/// Gives each connection a context: a copy of the context that is current where the connection is accepted,
/// without the variables that are [not inherited](crate::ContextVar::inherit).
///
/// It wraps a service that makes a service for each connection: axum's `into_make_service`, tower's
/// `MakeService`. The connection's service is made in the connection's context. Values that are set at that
/// time, such as the peer's address, are seen by each request of the connection. A request runs in a copy of
/// the connection's context up to its response, and never sees values that another request has set.
///
/// Requests share the values that their connection began with, without counting each. So such a value stays alive
/// until the connection and all contexts that come from it are dropped, even if a request has replaced it.
///
/// ```
/// use std::convert::Infallible;
///
/// use contextvar::ContextVar;
/// use contextvar::tower::MakeContextService;
/// use tower::{MakeService, Service, ServiceExt, service_fn};
///
/// static PEER: ContextVar<String> = ContextVar::new("peer");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Infallible> {
/// let mut make = MakeContextService::new(service_fn(|peer: &'static str| async move {
///     PEER.set(peer.to_owned());
///     Ok::<_, Infallible>(service_fn(|greeting: &'static str| async move {
///         Ok::<_, Infallible>(format!("{greeting}, {}", PEER.get()))
///     }))
/// }));
///
/// let mut connection = MakeService::<_, &str>::make_service(&mut make, "ada").await?;
/// assert_eq!(connection.ready().await?.call("hello").await?, "hello, ada");
/// assert!(!PEER.is_set());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MakeContextService<M> {
    make: M,
    /// Where the service was made.
    place: Place,
}

impl<M> MakeContextService<M> {
    /// Wraps a service that makes the services of connections.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn new(make: M) -> Self {
        MakeContextService { make, place: Place::here() }
    }
}

impl<M, Target> Service<Target> for MakeContextService<M>
where
    M: Service<Target>,
{
    type Response = ConnectionService<M::Response>;
    type Error = M::Error;
    type Future = MakeContextServiceFuture<M::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), M::Error>> {
        self.make.poll_ready(cx)
    }

    fn call(&mut self, target: Target) -> MakeContextServiceFuture<M::Future> {
        let mut context = inherit_context().hand_over(Kind::Scope, self.place);
        let task = task_id();
        context.next_entry_is_no_poll();
        let future = context.run_in_task(task, || self.make.call(target));
        MakeContextServiceFuture { scope: Scoped::new(context, future).and_context(), place: self.place }
    }
}

pin_project! {
    /// The future of [`MakeContextService`].
    #[derive(Debug)]
    pub struct MakeContextServiceFuture<F> {
        #[pin]
        scope: ScopedAndContext<F>,
        place: Place,
    }
}

impl<F, S, E> Future for MakeContextServiceFuture<F>
where
    F: Future<Output = Result<S, E>>,
{
    type Output = Result<ConnectionService<S>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (service, context) = ready!(this.scope.poll(cx));
        // All connections of a server inherit the same values, and each request copies its connection's context.
        let context = context.with_own_counts();
        Poll::Ready(service.map(|service| ConnectionService { service, context, place: *this.place }))
    }
}

/// A service that runs each call in a copy of its connection's context. Made by [`MakeContextService`].
#[derive(Clone, Debug)]
pub struct ConnectionService<S> {
    service: S,
    context: Context,
    place: Place,
}

impl<S, Request> Service<Request> for ConnectionService<S>
where
    S: Service<Request>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Scoped<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        // In a copy as well, so that no request sees values that this sets.
        self.context.clone().run(|| self.service.poll_ready(cx))
    }

    fn call(&mut self, request: Request) -> Scoped<S::Future> {
        // Before the closure takes the request: on a panic it would have to drop it, which costs a copy.
        let task = task_id();
        let mut context = self.context.clone().hand_over(Kind::Request, self.place);
        context.next_entry_is_no_poll();
        let future = context.run_in_task(task, || self.service.call(request));
        Scoped::new(context, future)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future;
    use std::pin::pin;
    use std::task::Waker;

    use super::*;
    use crate::var::ContextVar;

    static USER: ContextVar<String> = ContextVar::new("user");

    struct Make;

    impl Service<()> for Make {
        type Response = ();
        type Error = Infallible;
        type Future = future::Ready<Result<(), Infallible>>;

        fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            USER.set("ada".to_owned());
            future::ready(Ok(()))
        }
    }

    #[test]
    fn a_connection_has_counts_of_its_own() {
        let made = pin!(MakeContextService::new(Make).call(()));
        let Poll::Ready(Ok(service)) = made.poll(&mut task::Context::from_waker(Waker::noop())) else {
            panic!("the service is ready");
        };
        let context = service.clone().context;
        assert!(context.has_own_counts());
        assert_eq!(context[&USER], "ada");
    }
}
