//! An actix-web service that gives each request its own context.
//!
//! Actix does not use tower, so the function [`context_for_each_request`] does here what
//! [`ContextLayer`](contextvar::tower::ContextLayer) does for axum and tonic. The client sends the request's
//! id as baggage.
//!
//! ```console
//! $ cargo run -p actix_service    # sends itself requests, checks the answers, and exits
//! ```

use opentelemetry::propagation::Extractor;
use std::error::Error;
use std::future;

use actix_web::body::{BodyStream, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{Bytes, Path};
use actix_web::{App, HttpResponse, HttpServer, get};
use contextvar::{Context, InContext, baggage, context_var, task, with_copied_context};
use futures::stream::{self, StreamExt, TryStreamExt};

#[context_var(log, baggage = "request.id")]
static REQUEST_ID: u32;

#[context_var]
static STEP: &str = "none";

/// Runs the handler and the body of its response in a new context.
async fn context_for_each_request(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let mut context = Context::new();
    for ignored in context.run(|| baggage::extract(&Headers(request.headers()))) {
        eprintln!("{ignored}");
    }
    // An async block, so that `call` itself also runs in the context.
    let answer = async move { next.call(request).await };
    let (response, context) = answer.in_context(context).and_context().await;
    Ok(response?.map_body(|_, body| match body.try_into_bytes() {
        Ok(bytes) => BoxBody::new(bytes),
        Err(body) => {
            let mut body = Box::pin(body);
            let chunks = context.scope(stream::poll_fn(move |cx| body.as_mut().poll_next(cx)));
            BoxBody::new(BodyStream::new(chunks.map_err(Into::<Box<dyn Error>>::into)))
        }
    }))
}

/// An extractor for Actix's own type of header map.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}

#[get("/whole/{tenant}")]
#[with_copied_context]
async fn whole(tenant: Path<String>) -> String {
    STEP.set("handler");
    actix_web::rt::task::yield_now().await;
    let values = task::spawn_local(async { format!("{} {}", REQUEST_ID.get(), STEP.get()) }).await;
    format!("{tenant} {}", values.expect("the task completes"))
}

/// Without the attribute, the body sees the values that the handler sets.
#[get("/streamed")]
async fn streamed() -> HttpResponse {
    STEP.set("handler");
    let lines = stream::iter(0..3).then(|n| {
        let line = format!("{n} {} {}\n", REQUEST_ID.get(), STEP.get());
        STEP.set("body");
        future::ready(Ok::<_, actix_web::Error>(Bytes::from(line)))
    });
    HttpResponse::Ok().streaming(lines)
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = || App::new().wrap(from_fn(context_for_each_request)).service(whole).service(streamed);
    let server = HttpServer::new(app).workers(2).bind(("127.0.0.1", 0))?;
    let address = server.addrs()[0];
    let server = server.run();
    let stop = server.handle();
    let served = actix_web::rt::spawn(server);

    let client = &reqwest::Client::new();
    let get = |path: String| async move {
        let request = client.get(format!("http://{address}/{path}")).headers(baggage::headers());
        request.send().await?.error_for_status()?.text().await
    };
    stream::iter(0..200)
        .map(|n| {
            let requests = async move {
                let expected = format!("{} {n} handler", n % 7);
                assert_eq!(get(format!("whole/{}", n % 7)).await?, expected);
                let expected = format!("0 {n} handler\n1 {n} body\n2 {n} body\n");
                assert_eq!(get("streamed".to_owned()).await?, expected);
                Ok::<_, reqwest::Error>(())
            };
            REQUEST_ID.scope(n, requests)
        })
        .buffer_unordered(32)
        .try_collect::<()>()
        .await?;
    assert!(!REQUEST_ID.is_set() && !STEP.is_set());

    stop.stop(true).await;
    served.await??;
    println!("400 requests: each handler, its task and its body saw the values of their own request");
    Ok(())
}
