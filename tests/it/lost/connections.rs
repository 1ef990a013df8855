//! A connection is not a request: the requests of a connection must not share a context.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use bytes::Bytes;
use contextvar::hyper::ContextService;
use contextvar::report::{self, Cause};
use contextvar::tower::ContextLayer;
use contextvar::{InContext, copy_context, inherit_context, task, with_copied_context};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::support::on_both_flavors;

/// Serves an app on a port of its own, for as long as the runtime runs.
pub(super) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
    address
}

/// A client with one connection.
pub(super) struct Client(SendRequest<Empty<Bytes>>);

impl Client {
    pub(super) async fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async { drop(connection.await) });
        Client(sender)
    }

    /// Sends a request with the header `x-user`, unless `user` is empty.
    pub(super) async fn send(&mut self, path: &str, user: &'static str) -> Response<Incoming> {
        let mut request = Request::builder().uri(path).header("host", "localhost");
        if !user.is_empty() {
            request = request.header("x-user", user);
        }
        self.0.ready().await.unwrap();
        self.0.send_request(request.body(Empty::new()).unwrap()).await.unwrap()
    }

    pub(super) async fn get(&mut self, path: &str, user: &'static str) -> String {
        let body = self.send(path, user).await.into_body().collect().await.unwrap();
        String::from_utf8(body.to_bytes().into()).unwrap()
    }
}

/// An accept loop that gives each connection's task a context, one that gives it none, and one that gives each
/// request a context.
#[test]
fn an_accept_loop() {
    user!("an_accept_loop");

    #[derive(Clone, Copy, PartialEq)]
    enum Context {
        OfConnection,
        OfRequest,
        None,
    }

    /// Signs in the user of the header. Otherwise the user is whoever is current.
    async fn serve(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
        if request.headers().contains_key("x-user") && USER.try_set("ada").is_err() {
            return Ok(Response::new("refused".to_owned()));
        }
        Ok(Response::new(user().await.to_owned()))
    }

    async fn accept(context: Context) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let stream = TokioIo::new(listener.accept().await.unwrap().0);
            let http = hyper::server::conn::http1::Builder::new();
            if context == Context::OfRequest {
                let service = ContextService::new(service_fn(serve));
                task::spawn(async move { drop(http.serve_connection(stream, service).await) });
                return;
            }
            let connection = async move { drop(http.serve_connection(stream, service_fn(serve)).await) };
            drop(if context == Context::None { tokio::spawn(connection) } else { task::spawn(connection) });
        });
        address
    }

    let users = |context, [first, next]: [&'static str; 2]| {
        on_both_flavors(move || async move {
            let mut client = Client::new(accept(context).await).await;
            assert_eq!([client.get("/", "ada").await, client.get("/", "").await], [first, next]);
        });
    };
    users(Context::OfRequest, ["ada", "nobody"]);
    assert_eq!(causes(USER.name()), []);
    users(Context::None, ["refused", "nobody"]);
    assert_eq!(causes(USER.name()), [Cause::NoContext; 2]);
    // Somebody else's identity.
    users(Context::OfConnection, ["ada", "ada"]);
    assert_eq!(causes(USER.name()), [Cause::NoContext, Cause::NoContext, Cause::Connection]);
}

/// Returns the causes of a variable's reports.
fn causes(variable: &str) -> Vec<Cause> {
    let reports = contextvar::report::all().into_iter();
    reports.filter(|report| report.variable() == variable).map(|report| report.cause()).collect()
}

/// Serves one connection, whose task has a context. `before` runs in the task, before it serves.
async fn serve_connection<F, Fut>(before: fn(), handler: F) -> SocketAddr
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = &'static str> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let stream = TokioIo::new(listener.accept().await.unwrap().0);
        task::spawn(async move {
            before();
            let service = service_fn(|_: Request<Incoming>| {
                let answer = handler();
                async { Ok::<_, Infallible>(Response::new(answer.await.to_owned())) }
            });
            drop(hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await);
        });
    });
    address
}

/// A `set` that the next request can't see: in a copy, and in a `sync_scope`.
#[test]
fn sets_that_stay_in_a_request() {
    user!("sets_that_stay_in_a_request");

    async fn handler() -> &'static str {
        let part = async {
            USER.set("ada");
            USER.get()
        };
        assert_eq!(part.in_inherited_context().await, "ada");
        assert_eq!(part_in_copy().await, "ada");
        USER.sync_scope("ada", user_now)
    }

    #[with_copied_context]
    async fn part_in_copy() -> &'static str {
        let mut ctx = inherit_context();
        ctx.run(|| USER.set("ada"));
        ctx.run(user_now)
    }

    on_both_flavors(|| async {
        let mut client = Client::new(serve_connection(|| (), handler).await).await;
        assert_eq!(client.get("/", "").await, "ada");
        // A body that is streamed, around which the layer's context is.
        let stream = || async {
            let set = async { drop(USER.set("ada")) };
            set.in_inherited_context().await;
            Ok::<_, Infallible>(user().await)
        };
        let body = move || async move { axum::body::Body::from_stream(futures::stream::once(stream())) };
        let app = Router::new().route("/", axum::routing::get(body));
        let app = app.layer(ContextLayer::new().set(&USER, |_| "layer"));
        assert_eq!(Client::new(serve(app).await).await.get("/", "").await, "layer");
    });
    assert_eq!(reported(), []);
}

/// What a connection's task itself sets does not hide what the requests set, nor does what is not reported.
#[test]
fn a_connection_that_sets_before_its_requests() {
    user!("a_connection_that_sets_before_its_requests");
    #[contextvar::context_var(name = "peer")]
    static PEER: u64;
    #[contextvar::context_var(report = false)]
    static LOCALE: &str;

    async fn handler() -> &'static str {
        LOCALE.set("en");
        report::ignore(|| USER.set("ignored"));
        USER.set("ada");
        user().await
    }

    on_both_flavors(|| async {
        let before = || drop(PEER.set(1));
        for _ in 0..20 {
            let mut client = Client::new(serve_connection(before, handler).await).await;
            assert_eq!(client.get("/", "").await, "ada");
        }
    });
    assert_eq!(causes("peer"), []);
    let reports: Vec<_> = report::all().into_iter().filter(|it| it.variable() == USER.name()).collect();
    let [report] = &*reports else { panic!("{reports:?}") };
    assert_eq!((report.cause(), report.count()), (Cause::Connection, 40));
    assert!(report.to_string().contains("was set in tokio task"), "{report}");
}

/// The connection of a client runs in the same code of hyper.
#[test]
fn a_connection_of_a_client() {
    user!("a_connection_of_a_client");
    on_both_flavors(|| async {
        let echo = Router::new().route("/", axum::routing::post(async |body: axum::body::Bytes| body));
        let stream = TcpStream::connect(serve(echo).await).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        task::spawn(async { drop(connection.await) });
        let chunk = async {
            USER.set("ada");
            Ok::<_, Infallible>(Bytes::from_static(b"body"))
        };
        let body = axum::body::Body::from_stream(futures::stream::once(chunk));
        let request = Request::post("/").header("host", "localhost").body(body).unwrap();
        let answer = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(answer.to_bytes(), "body");
    });
    assert_eq!(reported(), []);
}

/// A `set` in a task that serves no connection, and one in a request that has a context of its own.
#[test]
fn other_tasks_can_set() {
    user!("other_tasks_can_set");
    on_both_flavors(|| {
        ada().scope(async {
            task::spawn(async { drop(USER.set("grace")) }).await.unwrap();
            let base = copy_context();
            let changed = base.clone().with_value(&USER, "grace");
            task::spawn(async move { changed.apply_changes_to_current(&base) }).await.unwrap();
        })
    });
    assert_eq!(reported(), []);
}

/// A server on a runtime whose tasks all inherit.
#[cfg(tokio_unstable)]
#[test]
fn a_runtime_with_hooks() {
    use axum::body::Body;
    use axum::http::HeaderMap;
    use axum::middleware::{Next, from_fn};
    use axum::routing::get;
    use contextvar::runtime::InheritContext;
    use tokio::runtime::Builder;

    user!("a_runtime_with_hooks");

    /// Signs in the user of the header. Otherwise the user is whoever is current.
    async fn handler(headers: &HeaderMap) -> String {
        if headers.contains_key("x-user") {
            USER.set("ada");
        }
        USER.get().to_owned()
    }

    fn app() -> Router {
        Router::new().route("/", get(async |headers: HeaderMap| handler(&headers).await))
    }

    /// Signs in outside of the layer.
    async fn sign_in(request: Request<Body>, next: Next) -> axum::response::Response {
        handler(request.headers()).await;
        next.run(request).await
    }

    /// Returns the user of a request without one that follows a request of ada's on the same connection.
    async fn next_request(address: SocketAddr) -> String {
        let mut client = Client::new(address).await;
        assert_eq!(client.get("/", "ada").await, "ada");
        client.get("/", "").await
    }

    let run = |app: fn() -> Router| {
        [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut builder| {
            let runtime = builder.enable_all().inherit_context().build().unwrap();
            runtime.block_on(async { next_request(serve(app()).await).await })
        })
    };
    assert_eq!(run(|| app().layer(ContextLayer::new())), ["nobody"; 2]);
    assert_eq!(causes(USER.name()), []);
    assert_eq!(run(app), ["ada"; 2]);
    assert_eq!(causes(USER.name()), [Cause::Connection]);
    assert_eq!(run(|| app().layer(ContextLayer::from_current()).layer(from_fn(sign_in))), ["ada"; 2]);
}
