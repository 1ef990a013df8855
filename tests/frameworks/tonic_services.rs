//! tonic's services: the attribute above and below `#[tonic::async_trait]`, and on a method.
//!
//! All implement the standard health service, as `tonic-build` generates it.

use contextvar::{context_var, with_copied_context};
use tonic::codegen::tokio_stream::{Empty, empty};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

#[context_var]
static USER: String = "nobody".to_owned();

/// Answers with the value that it finds, and with the one that it sets.
async fn visit<T>(_: Request<HealthCheckRequest>, answer: T) -> Response<T> {
    let found = USER.get();
    USER.set("visitor".to_owned());
    tokio::task::yield_now().await;
    let mut response = Response::new(answer);
    response.metadata_mut().insert("visit", format!("{found}, {}", USER.get()).parse().unwrap());
    response
}

type Answers = Empty<Result<HealthCheckResponse, Status>>;

struct Above;

#[with_copied_context(USER = request.get_ref().service.clone())]
#[tonic::async_trait]
impl Health for Above {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(visit(request, HealthCheckResponse::default()).await)
    }

    type WatchStream = Answers;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Answers>, Status> {
        Ok(visit(request, empty()).await)
    }
}

struct Below;

#[tonic::async_trait]
#[with_copied_context]
impl Health for Below {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(visit(request, HealthCheckResponse::default()).await)
    }

    type WatchStream = Answers;

    #[with_copied_context(USER = request.get_ref().service.clone())]
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Answers>, Status> {
        Ok(visit(request, empty()).await)
    }
}

struct Method;

#[tonic::async_trait]
impl Health for Method {
    #[with_copied_context]
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(visit(request, HealthCheckResponse::default()).await)
    }

    type WatchStream = Answers;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Answers>, Status> {
        Ok(visit(request, empty()).await)
    }
}

fn seen<T>(response: Result<Response<T>, Status>) -> String {
    response.unwrap().metadata().get("visit").unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_call_keeps_the_values_of_its_handler() {
    let mut above = HealthClient::new(HealthServer::new(Above));
    let mut below = HealthClient::new(HealthServer::new(Below));
    let mut method = HealthClient::new(HealthServer::new(Method));
    let ada = || HealthCheckRequest { service: "ada".to_owned() };

    USER.set("grace".to_owned());
    for _ in 0..2 {
        assert_eq!(seen(above.check(ada()).await), "ada, visitor");
        assert_eq!(seen(above.watch(ada()).await), "ada, visitor");
        assert_eq!(seen(below.check(ada()).await), "grace, visitor");
        assert_eq!(seen(below.watch(ada()).await), "ada, visitor");
        assert_eq!(seen(method.check(ada()).await), "grace, visitor");
        assert_eq!(USER.get(), "grace");
    }

    // A method without the attribute shares the context of its caller.
    assert_eq!(seen(method.watch(ada()).await), "grace, visitor");
    assert_eq!(seen(method.watch(ada()).await), "visitor, visitor");
}
