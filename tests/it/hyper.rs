//! `ContextExecutor`: tasks that hyper spawns inherit the context of the caller.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use contextvar::hyper::{ContextExecutor, ContextService};
use contextvar::{Context, context_var, task};
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tower::service_fn;

use crate::support::{OnDrop, on_both_flavors};

#[context_var]
static USER: String = "nobody".to_owned();

#[context_var]
static HELD: Arc<()>;

#[context_var(inherit = false)]
static TRANSACTION: u64;

fn ada() -> Context {
    Context::new().with_value(&USER, "ada".to_owned()).with_value(&TRANSACTION, 1)
}

#[test]
fn hyper_tasks_inherit() {
    type Seen = Arc<Mutex<Vec<String>>>;

    async fn serve(seen: Seen, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (before, path) = (USER.get(), request.uri().path().to_owned());
        assert!(!TRANSACTION.is_set());
        // The executor gave this task a context of its own.
        USER.set(format!("{before}'s {path}"));
        tokio::task::yield_now().await;
        seen.lock().unwrap().push(USER.get());
        Ok(Response::new(Full::new(before.into())))
    }

    on_both_flavors(|| async {
        let seen = Seen::default();
        let (client, server) = tokio::io::duplex(1 << 16);
        let server_context = ada().inherited();
        let held = Arc::new(());
        let connection = {
            let seen = seen.clone();
            async move {
                let service = service_fn(move |request| serve(seen.clone(), request));
                auto::Builder::new(ContextExecutor::new(TokioExecutor::new()))
                    .http2_only()
                    .serve_connection(TokioIo::new(server), TowerToHyperService::new(service))
                    .await
                    .unwrap();
            }
        };
        let server = tokio::spawn(server_context.with_value(&HELD, held.clone()).scope(connection));

        let builder = hyper::client::conn::http2::Builder::new(ContextExecutor::new(TokioExecutor::new()));
        let (sender, connection) = builder.handshake(TokioIo::new(client)).await.unwrap();
        let connection = tokio::spawn(connection);
        let get = |path: &'static str| {
            let mut sender = sender.clone();
            async move {
                let request = Request::builder().uri(format!("http://localhost{path}"));
                let response =
                    sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
                response.into_body().collect().await.unwrap().to_bytes()
            }
        };
        let answers = tokio::join!(get("/1"), get("/2"), get("/3"));
        assert_eq!(
            [answers.0, answers.1, answers.2],
            ["ada"; 3],
            "each stream runs in a copy of the connection's context"
        );
        let mut seen = seen.lock().unwrap().clone();
        seen.sort();
        assert_eq!(seen, ["ada's /1", "ada's /2", "ada's /3"]);
        drop(sender);
        connection.await.unwrap().unwrap();
        server.await.unwrap();
        while Arc::strong_count(&held) > 1 {
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn the_executor_copies_at_the_call() {
    #[derive(Clone)]
    struct Later(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

    impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Later {
        fn execute(&self, future: F) {
            self.0.lock().unwrap().push(Box::pin(future));
        }
    }

    let later = Later(Arc::default());
    let executor = ContextExecutor::new(later.clone());
    let held = Arc::new(());
    let (sender, reported) = std::sync::mpsc::channel();
    ada().with_value(&HELD, held.clone()).run(|| {
        let dropped = sender.clone();
        hyper::rt::Executor::execute(&executor, async move { sender.send(USER.get()).unwrap() });
        let report = OnDrop(move || dropped.send(format!("dropped in {}'s", USER.get())).unwrap());
        hyper::rt::Executor::execute(&executor, async move {
            let _report = report;
            pending().await
        });
        USER.set("later".to_owned());
    });
    let mut futures = std::mem::take(&mut *later.0.lock().unwrap());
    assert_eq!(Arc::strong_count(&held), 2, "the two futures share one map");
    futures::executor::block_on(futures.remove(0));
    assert_eq!(reported.recv().unwrap(), "ada");
    drop(futures);
    assert_eq!((reported.recv().unwrap().as_str(), Arc::strong_count(&held)), ("dropped in ada's", 1));
}

#[test]
fn the_requests_of_a_connection_do_not_share_a_context() {
    /// Serves one connection, and returns what each of two requests on it saw: of the connection's task, and
    /// at its end. The first request brings a user.
    async fn seen_by_two<S, B>(service: S) -> [String; 2]
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send,
        B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let (client, server) = tokio::io::duplex(1 << 16);
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service);
        // A mistake without `ContextService`: the connection's task has one context for all requests.
        let server = task::spawn(async { connection.await.unwrap() });
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
        let client = tokio::spawn(connection);
        let mut seen = [String::new(), String::new()];
        for (n, seen) in seen.iter_mut().enumerate() {
            let mut request = Request::new(Empty::<Bytes>::new());
            if n == 0 {
                request.headers_mut().insert("x-user", "ada".parse().unwrap());
            }
            sender.ready().await.unwrap();
            let response = sender.send_request(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            *seen = String::from_utf8(body.into()).unwrap();
        }
        drop(sender);
        client.await.unwrap().unwrap();
        server.await.unwrap();
        seen
    }

    async fn handler(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let before = USER.get();
        if let Some(user) = request.headers().get("x-user") {
            USER.set(user.to_str().unwrap().to_owned());
        }
        tokio::task::yield_now().await;
        Ok(Response::new(Full::from(format!("{before}, {}", USER.get()))))
    }

    on_both_flavors(|| async {
        USER.set("the server".to_owned());
        let plain = seen_by_two(hyper::service::service_fn(handler)).await;
        assert_eq!(plain, ["the server, ada", "ada, ada"], "what the service prevents");
        let service = ContextService::new(hyper::service::service_fn(handler));
        assert_eq!(seen_by_two(service).await, ["nobody, ada", "nobody, nobody"]);
        let service = ContextService::from_current(hyper::service::service_fn(handler));
        assert_eq!(seen_by_two(service).await, ["the server, ada", "the server, the server"]);
    });
}

#[cfg(tokio_unstable)]
#[test]
fn a_pooled_connection_keeps_no_context() {
    use std::net::SocketAddr;

    use contextvar::runtime::InheritContext;
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use tokio::net::TcpListener;
    use tokio::runtime::{Builder, TaskMeta};

    async fn serve(listener: TcpListener) {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
        auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .await
            .unwrap();
    }

    async fn get(client: Client<HttpConnector, Empty<Bytes>>, server: SocketAddr) {
        assert!(HELD.is_set());
        let response = client.get(format!("http://{server}/").parse().unwrap()).await.unwrap();
        response.into_body().collect().await.unwrap();
    }

    /// Sends two requests over one connection of a pool. Waits between them until the context of the first
    /// one is gone, unless the connection keeps it.
    async fn two_requests(keeps_context: bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let held = Arc::new(());
        let request =
            || ada().with_value(&HELD, held.clone()).run(|| tokio::spawn(get(client.clone(), address)));
        request().await.unwrap();
        if keeps_context {
            assert!(Arc::strong_count(&held) > 1);
        } else {
            until_released(&held).await;
        }
        // The server accepts no other connection.
        request().await.unwrap();
        drop(client);
        server.await.unwrap();
        until_released(&held).await;
    }

    async fn until_released(held: &Arc<()>) {
        while Arc::strong_count(held) > 1 {
            tokio::task::yield_now().await;
        }
    }

    let inherits = |task: &TaskMeta<'_>| !task.spawned_at().file().contains("hyper-util-");
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let plain = builder.enable_all().inherit_context().build().unwrap();
        plain.block_on(two_requests(true));
        let selecting = builder.inherit_context_if(inherits).build().unwrap();
        selecting.block_on(two_requests(false));
    }
}
