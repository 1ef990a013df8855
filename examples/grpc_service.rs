//! Two gRPC services. The caller of the first one is known in the second one, also in a stream of answers.
//!
//! Both implement the standard health service, as `tonic-build` generates it. A call names a tenant, and the
//! backend checks whether the call is from that tenant.
//!
//! ```console
//! $ cargo run -p grpc_service    # starts both, sends 200 overlapping calls, checks the answers, and exits
//! ```

use std::error::Error;
use std::net::SocketAddr;

use contextvar::tower::{ContextLayer, InjectBaggage, InjectBaggageLayer};
use contextvar::{baggage, context_var, task, with_copied_context};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::Layer;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

#[context_var(baggage = "tenant")]
static TENANT: String;

/// Forwards calls to the backend. No argument names the tenant.
struct Frontend {
    backend: HealthClient<InjectBaggage<Channel>>,
}

#[tonic::async_trait]
impl Health for Frontend {
    #[with_copied_context]
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let mut backend = self.backend.clone();
        let asked = task::spawn(async move { backend.check(request.into_inner()).await });
        asked.await.map_err(|error| Status::internal(error.to_string()))?
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let answer = self.backend.clone().watch(request.into_inner()).await?;
        Ok(answer.map(StreamExt::boxed))
    }
}

struct Backend;

impl Backend {
    fn health(asked: &HealthCheckRequest) -> HealthCheckResponse {
        let is_caller = TENANT.is_set() && TENANT.get() == asked.service;
        let status = if is_caller { ServingStatus::Serving } else { ServingStatus::NotServing };
        HealthCheckResponse { status: status.into() }
    }
}

#[tonic::async_trait]
impl Health for Backend {
    #[with_copied_context]
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        tokio::task::yield_now().await;
        let answer = task::spawn_blocking(move || Backend::health(request.get_ref())).await;
        Ok(Response::new(answer.map_err(|error| Status::internal(error.to_string()))?))
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        // The stream makes the answers after this function has returned, in the context of the call.
        let answers = stream::iter(0..3).then(move |_| {
            let asked = request.get_ref().clone();
            async move {
                tokio::task::yield_now().await;
                Ok(Backend::health(&asked))
            }
        });
        Ok(Response::new(answers.boxed()))
    }
}

/// Serves on a free port. Every call gets its own context, with the tenant from the caller's baggage.
async fn serve(service: impl Health) -> Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let contexts = ContextLayer::new().extract_baggage(|error| eprintln!("{error}"));
    let server = Server::builder().layer(contexts).add_service(HealthServer::new(service));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    Ok(address)
}

async fn connect(address: SocketAddr) -> Result<Channel> {
    Ok(Channel::from_shared(format!("http://{address}"))?.connect().await?)
}

/// Makes the calls of a client. tonic's interceptor adds the baggage.
async fn call(channel: Channel, n: usize) -> Result<()> {
    TENANT.set(format!("tenant {}", n % 10));
    let mut client = HealthClient::with_interceptor(channel, |mut request: Request<()>| {
        baggage::inject_headers(request.metadata_mut().as_mut());
        Ok(request)
    });
    let mine = HealthCheckRequest { service: TENANT.get() };
    let another = HealthCheckRequest { service: format!("tenant {}", (n + 1) % 10) };

    let answer = client.check(mine.clone()).await?;
    assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    let answer = client.check(another).await?;
    assert_eq!(answer.get_ref().status(), ServingStatus::NotServing);

    let answers: Vec<_> = client.watch(mine).await?.into_inner().try_collect().await?;
    assert_eq!(
        answers.iter().map(HealthCheckResponse::status).collect::<Vec<_>>(),
        [ServingStatus::Serving; 3]
    );
    Ok(())
}

const CALLS: usize = 200;

#[tokio::main]
async fn main() -> Result<()> {
    let backend = connect(serve(Backend).await?).await?;
    let frontend = Frontend { backend: HealthClient::new(InjectBaggageLayer::new().layer(backend)) };
    let frontend = connect(serve(frontend).await?).await?;

    let calls = stream::iter(0..CALLS).map(|n| task::spawn(call(frontend.clone(), n))).buffer_unordered(50);
    let ended: Vec<Result<()>> = calls.try_collect().await?;
    ended.into_iter().collect::<Result<()>>()?;
    println!("{CALLS} calls through two services: the backend knew the tenant of each");
    Ok(())
}
