//! tonic.

// Recipe

use contextvar::{context_var, task, tower::ContextLayer, tracing::ContextFormat};
use tonic::{Request, Response, Status, codegen::BoxStream, transport::Server};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server::*};

#[context_var(name = "user", log)]
static USER: u64;

struct Shop;
#[tonic::async_trait]
impl Health for Shop {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        tracing::info!("check");
        task::spawn(async { tracing::info!("audit") });
        Ok(Response::new(HealthCheckResponse { status: USER.is_set().into() })) // 1: SERVING
    }
    type WatchStream = BoxStream<HealthCheckResponse>;
    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

fn context() -> ContextLayer {
    ContextLayer::new().set_if_some(&USER, |call| call.headers.get("x-user")?.to_str().ok()?.parse().ok())
}
#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
    let server = Server::builder().layer(context()).add_service(HealthServer::new(Shop));
    server.serve(([127, 0, 0, 1], 50051).into()).await.unwrap();
}

// Test

use super::{Log, shown};
use tokio::net::TcpListener;
use tonic::transport::Channel;
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::Layer;

fn call(user: Option<&'static str>) -> Request<HealthCheckRequest> {
    let mut call = Request::new(HealthCheckRequest::default());
    if let Some(user) = user {
        call.metadata_mut().insert("x-user", user.parse().unwrap());
    }
    call
}

#[tokio::test]
async fn each_call_and_its_task_have_their_values() {
    let (log, _guard) = Log::start();
    let client = HealthClient::new(context().layer(HealthServer::new(Shop)));
    let check = async |user| client.clone().check(call(user)).await.unwrap().get_ref().status();
    let answers = tokio::join!(check(Some("7")), check(Some("8")), check(None));
    assert_eq!(answers, (ServingStatus::Serving, ServingStatus::Serving, ServingStatus::Unknown));
    // The tasks run when all calls have been answered.
    tokio::task::yield_now().await;

    let lines = log.lines(module_path!());
    assert_eq!(
        lines,
        [
            " INFO shop: check user=7",
            " INFO shop: check user=8",
            " INFO shop: check",
            " INFO shop: audit user=7",
            " INFO shop: audit user=8",
            " INFO shop: audit",
        ]
    );
    assert_eq!(shown("tonic"), [&*lines[0], &*lines[3]]);
}

/// As `main`, on a free port.
#[tokio::test]
async fn calls_of_one_connection_have_their_values() {
    let (log, _guard) = Log::start();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder().layer(context()).add_service(HealthServer::new(Shop));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));

    let client = HealthClient::new(Channel::from_shared(url).unwrap().connect().await.unwrap());
    let check = async |user| client.clone().check(call(user)).await.unwrap();
    tokio::join!(check(Some("7")), check(Some("8")), check(None));
    tokio::task::yield_now().await;

    let mut lines = log.lines(module_path!());
    lines.sort_unstable();
    let expected = ["audit", "audit user=7", "audit user=8", "check", "check user=7", "check user=8"];
    assert_eq!(lines, expected.map(|line| format!(" INFO shop: {line}")));
}

#[tokio::test]
async fn an_interceptor_sets_variables() {
    let (log, _guard) = Log::start();
    let set_user = |call: Request<()>| {
        assert!(!USER.is_set());
        USER.set(9);
        Ok(call)
    };
    let mut client = HealthClient::new(context().layer(HealthServer::with_interceptor(Shop, set_user)));
    client.check(call(None)).await.unwrap();
    client.check(call(None)).await.unwrap();
    tokio::task::yield_now().await;
    let lines = ["check", "check", "audit", "audit"].map(|line| format!(" INFO shop: {line} user=9"));
    assert_eq!(log.lines(module_path!()), lines);
}
