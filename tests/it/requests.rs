//! `ContextLayer`: a context for each request, on axum and hyper.

use std::convert::Infallible;
use std::fmt;
use std::future::{Pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use contextvar::tower::{ContextLayer, InjectBaggageLayer, MakeContextService, Rejection};
use contextvar::{Context, context_var, copy_context, task, with_copied_context};
use futures::FutureExt;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

use crate::support::{OnDrop, on_both_flavors, panic_text};

#[context_var]
static REQUEST_ID: u64;

#[context_var]
static TENANT: String = "none".to_owned();

#[context_var]
static ROUTE: &str;

#[context_var]
static HELD: Arc<()>;

#[context_var]
static COUNTER: Arc<AtomicU64>;

fn id_of(request: &axum::http::request::Parts) -> Option<u64> {
    request.headers.get("x-request-id")?.to_str().ok()?.parse().ok()
}

fn layer() -> ContextLayer<Response<Body>> {
    ContextLayer::new()
        .set_or_reject(
            &REQUEST_ID,
            |request| id_of(request).ok_or(StatusCode::BAD_REQUEST),
            |status| (status, format!("for {}", TENANT.get())).into_response(),
        )
        .set(&TENANT, |request| format!("{} of {}", request.uri.path().trim_matches('/'), REQUEST_ID.get()))
}

fn request<B: Default>(path: &str, id: &str) -> axum::http::Request<B> {
    axum::http::Request::builder().uri(path).header("x-request-id", id).body(B::default()).unwrap()
}

async fn text<B>(response: axum::http::Response<B>) -> String
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

#[test]
fn each_request_has_a_context_set_from_it() {
    on_both_flavors(|| async {
        async fn handler(Path(name): Path<String>) -> String {
            let before = copy_context().len();
            ROUTE.set("handler");
            tokio::task::yield_now().await;
            let spawned = task::spawn(async { (REQUEST_ID.get(), ROUTE.get()) }).await.unwrap();
            format!("{name} {before} {} {} {spawned:?}", REQUEST_ID.get(), TENANT.get())
        }

        REQUEST_ID.set(0);
        TENANT.set("the server's".to_owned());
        let app = Router::new().route("/{name}", get(handler)).layer(layer());
        let all = (1..50).map(|n: u64| {
            let app = app.clone();
            async move {
                let response = app.oneshot(request::<Body>("/acme", &n.to_string())).await.unwrap();
                assert_eq!(response.status(), 200);
                assert_eq!(text(response).await, format!("acme 2 {n} acme of {n} ({n}, \"handler\")"));
            }
        });
        join_all(all).await;

        let refused = app.clone().oneshot(request::<Body>("/acme", "not a number")).await.unwrap();
        assert_eq!(refused.status(), 400);
        assert_eq!(text(refused).await, "for none");
        let other = app.oneshot(request::<Body>("/a/b", "1")).await.unwrap();
        assert_eq!(other.status(), 404);
        assert_eq!((REQUEST_ID.get(), TENANT.get().as_str(), ROUTE.is_set()), (0, "the server's", false));
    });
}

/// Without a default, which they would share.
#[test]
fn each_request_and_each_job_has_a_counter_of_its_own() {
    async fn count_twice() -> String {
        for _ in 0..2 {
            let counted = task::spawn(async { COUNTER.get().fetch_add(1, Ordering::SeqCst) });
            counted.await.unwrap();
        }
        COUNTER.get().load(Ordering::SeqCst).to_string()
    }

    #[with_copied_context(COUNTER = Arc::default())]
    async fn job() -> String {
        count_twice().await
    }

    on_both_flavors(|| async {
        let layer = ContextLayer::new().set(&COUNTER, |_| Arc::default());
        let app = Router::new().route("/", get(count_twice)).layer(layer);
        let requests = (0..20).map(|_| async {
            let response = app.clone().oneshot(request::<Body>("/", "")).await.unwrap();
            assert_eq!(text(response).await, "2");
        });
        let jobs = (0..20).map(|_| async { assert_eq!(task::spawn(job()).await.unwrap(), "2") });
        futures::join!(join_all(requests), join_all(jobs));
        assert!(!COUNTER.is_set());
    });
}

#[test]
fn set_if_some_leaves_absent_values_alone() {
    on_both_flavors(|| async {
        async fn handler() -> String {
            format!("{:?} {}", REQUEST_ID.try_get().ok(), TENANT.get())
        }

        let layer = ContextLayer::new().set_if_some(&REQUEST_ID, id_of);
        let after_another = layer.clone().set(&REQUEST_ID, |_| 1).set_if_some(&REQUEST_ID, id_of);
        for (layer, id, expected) in [
            (&layer, "7", "Some(7) none"),
            (&layer, "x", "None none"),
            (&after_another, "7", "Some(7) none"),
            (&after_another, "x", "Some(1) none"),
        ] {
            let app = Router::new().route("/", get(handler)).layer(layer.clone());
            assert_eq!(text(app.oneshot(request::<Body>("/", id)).await.unwrap()).await, expected);
        }
    });
}

#[test]
fn outer_layers_and_the_body_see_what_the_handler_sets() {
    async fn outside(request: Request, next: Next) -> Response {
        assert!(!ROUTE.is_set());
        let mut response = next.run(request).await;
        response.headers_mut().insert("x-route", ROUTE.get().parse().unwrap());
        ROUTE.set("after the handler");
        response
    }

    async fn handler() -> Body {
        ROUTE.set("handler");
        Body::from_stream(stream::iter(0..3).map(|n| {
            let line = format!("{n} {} {}\n", REQUEST_ID.get(), ROUTE.get());
            ROUTE.set("a line before");
            Ok::<_, Infallible>(line)
        }))
    }

    on_both_flavors(|| async {
        let app = Router::new().route("/", get(handler)).layer(middleware::from_fn(outside)).layer(layer());
        let response = app.oneshot(request::<Body>("/", "7")).await.unwrap();
        assert_eq!(response.headers()["x-route"], "handler");
        assert_eq!(text(response).await, "0 7 after the handler\n1 7 a line before\n2 7 a line before\n");
        assert!(!ROUTE.is_set());
    });
}

#[test]
fn a_response_header_shows_a_variable() {
    #[context_var]
    static NOTE: String;
    #[context_var(secret)]
    static PASSWORD: String;

    async fn handler(Path(path): Path<String>) -> Response {
        match &*path {
            "later" => drop(REQUEST_ID.set(8)),
            "panic" => panic!("on purpose"),
            "own" => return ([("x-request-id", "its own")], "").into_response(),
            note => drop(NOTE.set(note.to_owned())),
        }
        ().into_response()
    }

    on_both_flavors(|| async {
        let layer = layer()
            .response_header(HeaderName::from_static("x-request-id"), &REQUEST_ID)
            .response_header(HeaderName::from_static("x-note"), &NOTE);
        let app = Router::new().route("/{path}", get(handler)).layer(CatchPanicLayer::new()).layer(layer);
        for (path, id, status, expected) in [
            ("/fine", "7", 200, [Some("7"), Some("fine")]),
            ("/later", "7", 200, [Some("8"), None]),
            ("/own", "7", 200, [Some("its own"), None]),
            // No text that could be read as another header, or as something else.
            ("/a%0D%0Ab:%20c", "7", 200, [Some("7"), None]),
            ("/%C3%A9", "7", 200, [Some("7"), None]),
            ("/panic", "7", 500, [Some("7"), None]),
            ("/missing/route", "7", 404, [Some("7"), None]),
            ("/rejected", "", 400, [None, None]),
        ] {
            let response = app.clone().oneshot(request::<Body>(path, id)).await.unwrap();
            let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(
                (response.status().as_u16(), ["x-request-id", "x-note"].map(header)),
                (status, expected)
            );
        }
    });
    // A `Display` runs in the request's context, and can fail.
    struct Reads(bool);

    impl fmt::Display for Reads {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", REQUEST_ID.get())?;
            if self.0 { Ok(()) } else { Err(fmt::Error) }
        }
    }

    #[context_var]
    static READS: Reads;

    for (succeeds, expected) in [(true, Some("7")), (false, None)] {
        let layer = ContextLayer::new().set(&REQUEST_ID, |_| 7).set(&READS, move |_| Reads(succeeds));
        let layer = layer.response_header(HeaderName::from_static("x-reads"), &READS);
        let app = Router::new().route("/", get(|| async {})).layer(layer);
        let response = futures::executor::block_on(app.oneshot(request::<Body>("/", ""))).unwrap();
        assert_eq!(response.headers().get("x-reads").map(|value| value.to_str().unwrap()), expected);
    }
    // A refusal after the variable has been set.
    let refusing = ContextLayer::new()
        .set(&REQUEST_ID, |_| 9)
        .set_or_reject(&NOTE, |_| Err("no"), |error| (StatusCode::FORBIDDEN, error).into_response())
        .response_header(HeaderName::from_static("x-request-id"), &REQUEST_ID);
    let app = Router::new().route("/", get(|| async {})).layer(refusing);
    let response = futures::executor::block_on(app.oneshot(request::<Body>("/", ""))).unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["x-request-id"]),
        (403, &"9".parse().unwrap())
    );
    let refuse = || ContextLayer::new().response_header(HeaderName::from_static("x-password"), &PASSWORD);
    let text = "a response cannot show `PASSWORD`, which is secret\nsee \
                https://docs.rs/contextvar/latest/contextvar/guide/errors#secret-in-a-response";
    assert_eq!(panic_text(refuse), text);
}

#[test]
fn a_request_drops_its_context_however_it_ends() {
    on_both_flavors(|| async {
        let held = Arc::new(());
        let layer = {
            let held = held.clone();
            ContextLayer::new().set(&HELD, move |_| held.clone())
        };
        let service = |how: &'static str| {
            let inner = service_fn(move |_: axum::http::Request<()>| async move {
                let (sender, reported) = std::sync::mpsc::channel();
                let report = OnDrop(move || sender.send(HELD.is_set()).unwrap());
                match how {
                    "waits" => std::future::pending().await,
                    "fails" => Err(how),
                    "panics" => panic!("on purpose"),
                    _ => {
                        drop(report);
                        assert!(reported.recv().unwrap());
                        Ok(Response::new(Full::new(Bytes::from(how))))
                    }
                }
            });
            layer.layer(inner)
        };
        let call = |how| service(how).call(request::<()>("/", ""));

        let mut waits = Box::pin(call("waits"));
        assert!(futures::poll!(&mut waits).is_pending());
        assert_eq!(Arc::strong_count(&held), 3, "held by the test, the layer and the request");
        drop(waits);
        assert_eq!(call("fails").await.unwrap_err(), "fails");
        let panics = panic_text(|| futures::executor::block_on(call("panics")));
        assert_eq!((panics.as_str(), Arc::strong_count(&held)), ("on purpose", 2));

        let response = call("answers").await.unwrap();
        assert_eq!(Arc::strong_count(&held), 3, "held by the test, the layer and the response body");
        assert_eq!(text(response).await, "answers");
        assert_eq!(Arc::strong_count(&held), 2);
        drop(call("answers").await.unwrap());
        assert_eq!(Arc::strong_count(&held), 2);
        // The body of a rejection runs in the context as well.
        let refuses = layer.clone().set_or_reject(
            &ROUTE,
            |_| Err("refused"),
            |text| Response::new(Full::new(text.into())),
        );
        let never =
            service_fn(|_: axum::http::Request<()>| async { unreachable!() as Result<_, Infallible> });
        let response = refuses.layer(never).call(request("/", "")).await.unwrap();
        assert!(response.body().context().contains(&HELD));
        assert_eq!(text(response).await, "refused");
        drop((refuses, layer));
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn from_current_copies_the_connection_context_and_new_does_not() {
    let layer = ContextLayer::from_current();
    assert_eq!(format!("{layer:?}"), "ContextLayer { copies_current: true, .. }");
    assert_eq!(format!("{:?}", layer.layer(7)), "ContextService { inner: 7, .. }");

    on_both_flavors(|| async {
        for (layer, expected) in
            [(ContextLayer::from_current(), "the connection's, 7"), (ContextLayer::default(), "none, 7")]
        {
            let handler = || async {
                assert_eq!(copy_context().contains(&ROUTE), TENANT.is_set());
                format!("{}, {}", TENANT.get(), REQUEST_ID.get())
            };
            let layer = layer.set(&REQUEST_ID, |request| id_of(request).unwrap());
            let app = Router::new().route("/", get(handler)).layer(layer);
            let mut make = MakeContextService::new(service_fn(move |()| {
                TENANT.set("the connection's".to_owned());
                let app = app.clone();
                async { Ok::<_, Infallible>(app) }
            }));
            let connection =
                Context::new().with_value(&ROUTE, "accepted").run(|| make.call(())).await.unwrap();
            assert_eq!(text(connection.oneshot(request::<Body>("/", "7")).await.unwrap()).await, expected);
        }
    });
}

#[test]
fn handlers_can_be_annotated() {
    /// Extractors of several kinds, with `debug_handler` above the attribute; below it in the next function.
    #[axum::debug_handler]
    #[with_copied_context(ROUTE = "annotated")]
    async fn annotated(
        Path(name): Path<String>,
        axum::extract::State(state): axum::extract::State<u8>,
        headers: axum::http::HeaderMap,
        body: Bytes,
    ) -> Result<String, StatusCode> {
        TENANT.set(format!("{name}'s own"));
        let id = headers.get("x-request-id").ok_or(StatusCode::BAD_REQUEST)?;
        Ok(format!("{} {} {state} {} {id:?}", TENANT.get(), ROUTE.get(), body.len()))
    }

    #[with_copied_context(ROUTE = "the other way round")]
    #[axum::debug_handler(state = u8)]
    async fn the_other_way_round() -> &'static str {
        ROUTE.get()
    }

    async fn outside(request: Request, next: Next) -> Response {
        let response = next.run(request).await;
        assert!(!ROUTE.is_set(), "the handler runs in its own copy");
        response
    }

    on_both_flavors(|| async {
        let app = Router::new()
            .route("/of/{name}", get(annotated))
            .route("/other", get(the_other_way_round))
            .layer(middleware::from_fn(outside))
            .layer(layer())
            .with_state(3_u8);
        let response = app.clone().oneshot(request::<Body>("/of/ada", "7")).await.unwrap();
        assert_eq!(text(response).await, "ada's own annotated 3 0 \"7\"");
        let response = app.oneshot(request::<Body>("/other", "7")).await.unwrap();
        assert_eq!(text(response).await, "the other way round");
    });
}

#[test]
fn a_hyper_server_and_client_without_axum() {
    on_both_flavors(|| async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = ContextLayer::new().set(&REQUEST_ID, |request| id_of(request).unwrap()).layer(
            service_fn(|_: hyper::Request<Incoming>| async {
                tokio::task::yield_now().await;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(REQUEST_ID.get().to_string()))))
            }),
        );
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    builder.serve_connection(TokioIo::new(stream), service).await.unwrap();
                });
            }
        });

        // A client is a service: the layer gives each of its calls a context.
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let client = ContextLayer::from_current().set(&ROUTE, |_| "a client's").layer(client);
        let calls = (1..20).map(|n: u64| {
            let uri = format!("http://{address}/");
            let request = request::<Empty<Bytes>>(&uri, &n.to_string());
            let client = client.clone();
            async move {
                let response = client.oneshot(request).await.unwrap();
                assert_eq!(response.body().context()[&ROUTE], "a client's");
                assert_eq!(text(response).await, n.to_string());
            }
        });
        join_all(calls).await;
        server.abort();
        assert!(!REQUEST_ID.is_set());
    });
}

/// A layer that rejects nothing needs no type parameter, and wraps services with any response body.
struct Plain(ContextLayer);

#[test]
fn setters_run_in_order() {
    fn call<R: Rejection<B>, B>(layer: ContextLayer<R>, body: fn(String) -> B) -> String
    where
        B: hyper::body::Body<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        let show = |_| async move {
            let seen = format!("{} {} {:?}", REQUEST_ID.get(), TENANT.get(), ROUTE.try_get().ok());
            Ok::<_, Infallible>(axum::http::Response::new(body(seen)))
        };
        let response = layer.layer(service_fn(show)).call(axum::http::Request::new(()));
        text(response.now_or_never().unwrap().unwrap()).now_or_never().unwrap()
    }

    let plain = Plain(ContextLayer::new().set(&REQUEST_ID, |_| 1));
    assert_eq!(call(plain.0.clone(), Full::<Bytes>::from), "1 none None");
    assert_eq!(call(plain.0.clone(), Body::from), "1 none None");

    let rejecting = |tenant: Result<&'static str, &'static str>,
                     route: Result<&'static str, &'static str>| {
        let reject = |error: &str| Response::new(Body::from(format!("{error} {}", REQUEST_ID.get())));
        let layer = plain
            .0
            .clone()
            .set_or_reject(&TENANT, move |_| tenant.map(str::to_owned), reject)
            .set(&REQUEST_ID, |_| REQUEST_ID.get() + 1)
            .set_or_reject(&ROUTE, move |_| route, reject);
        call(layer, Body::from)
    };
    assert_eq!(rejecting(Ok("acme"), Ok("/")), r#"2 acme Some("/")"#);
    assert_eq!(rejecting(Err("no tenant"), Ok("/")), "no tenant 1");
    assert_eq!(rejecting(Ok("acme"), Err("no route")), "no route 2");
}

#[test]
fn polling_after_the_response_panics() {
    let accept = ContextLayer::new().set_or_reject(&REQUEST_ID, |_| Ok::<_, ()>(7), |()| Response::default());
    let reject = ContextLayer::new().set_or_reject(&REQUEST_ID, |_| Err(()), |()| Response::default());
    for (layer, text) in [
        (accept, "`Scoped` polled after it has finished"),
        (reject, "`ResponseFuture` polled after it has finished"),
    ] {
        let mut service =
            layer.layer(service_fn(async |_: Request| Ok::<_, Infallible>(Response::new(Body::empty()))));
        let mut answer = Box::pin(service.call(request("/", "x")));
        assert!((&mut answer).now_or_never().is_some());
        let text = format!(
            "{text}\nsee https://docs.rs/contextvar/latest/contextvar/guide/errors#polled-after-its-end"
        );
        assert_eq!(panic_text(|| (&mut answer).now_or_never()), text);
    }
}

#[test]
fn a_service_that_is_not_ready_is_not_called() {
    #[derive(Clone)]
    struct Closed;

    impl<Request> Service<Request> for Closed {
        type Response = axum::http::Response<()>;
        type Error = &'static str;
        type Future = Pending<Result<Self::Response, &'static str>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), &'static str>> {
            Poll::Ready(Err("closed"))
        }

        fn call(&mut self, _: Request) -> Self::Future {
            panic!("called when it was not ready")
        }
    }

    fn error<E>(service: impl Service<axum::http::Request<()>, Error = E>) -> Option<E> {
        service.oneshot(request("/", "1")).now_or_never().expect("nothing to wait for").err()
    }

    assert_eq!(error(ContextLayer::new().layer(Closed)), Some("closed"));
    assert_eq!(error(InjectBaggageLayer::new().layer(Closed)), Some("closed"));
    assert_eq!(error(MakeContextService::new(Closed)), Some("closed"));
    let made = MakeContextService::new(service_fn(|()| ready(Ok::<_, Infallible>(Closed)))).oneshot(());
    assert_eq!(error(made.now_or_never().unwrap().unwrap()), Some("closed"));
}
