//! `MakeContextService`: a context for each connection of a server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::routing::get;
use axum::serve::IncomingStream;
use contextvar::tower::{ContextLayer, MakeContextService};
use contextvar::{Context, InContext, context_var, copy_context, task, with_copied_context};
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use http::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Log, on_both_flavors};

#[context_var]
static USER: String = "nobody".to_owned();

#[context_var]
static HELD: Arc<()>;

#[context_var(inherit = false)]
static TRANSACTION: u64;

fn ada() -> Context {
    Context::new().with_value(&USER, "ada".to_owned()).with_value(&TRANSACTION, 1)
}

/// Sends one request over HTTP/1.1 and returns the body of the response.
async fn http_get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

#[test]
fn axum_connections_have_contexts() {
    #[derive(Clone)]
    struct Peer(SocketAddr);

    impl Connected<IncomingStream<'_, TcpListener>> for Peer {
        fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
            // Runs while the connection's service is being made.
            assert_eq!(USER.get(), "the server's");
            assert!(!TRANSACTION.is_set());
            USER.set("the connection's".to_owned());
            Peer(*stream.remote_addr())
        }
    }

    on_both_flavors(|| async {
        async fn plain(ConnectInfo(Peer(address)): ConnectInfo<Peer>) -> String {
            assert!(address.ip().is_loopback());
            let before = USER.get();
            USER.set("the request's".to_owned());
            tokio::task::yield_now().await;
            let spawned = task::spawn(async { USER.get() }).await.unwrap();
            format!("{before}, {}, {spawned}", USER.get())
        }

        #[with_copied_context(USER = "the handler's".to_owned())]
        async fn annotated() -> String {
            USER.get()
        }

        async fn streaming() -> axum::body::Body {
            USER.set("the request's".to_owned());
            let users = stream::iter(0..3).map(|_| Ok::<_, Infallible>(USER.get()));
            axum::body::Body::new(copy_context().scope(axum::body::Body::from_stream(users)))
        }

        USER.set("the server's".to_owned());
        TRANSACTION.set(1);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/plain", get(plain))
            .route("/annotated", get(annotated))
            .route("/streaming", get(streaming));
        let make = MakeContextService::new(app.into_make_service_with_connect_info::<Peer>());
        let serve = async { axum::serve(listener, make).await.unwrap() };
        let server = tokio::spawn(serve.in_copied_context());
        let server = async {
            USER.set("changed later".to_owned());
            server.await
        };
        let requests = async {
            for _ in 0..2 {
                let all = "the connection's, the request's, the request's";
                assert_eq!(http_get(address, "/plain").await, all);
            }
            assert_eq!(http_get(address, "/annotated").await, "the handler's");
            assert!(http_get(address, "/streaming").await.matches("the request's").count() == 3);
        };
        tokio::select! {
            served = server => served.unwrap(),
            () = requests => (),
        }
    });
}

#[test]
fn values_set_in_poll_ready_reach_no_request() {
    struct Sets;
    impl Service<u64> for Sets {
        type Response = bool;
        type Error = Infallible;
        type Future = std::future::Ready<Result<bool, Infallible>>;

        fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
            USER.set("ready".to_owned());
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: u64) -> Self::Future {
            std::future::ready(Ok(USER.is_set()))
        }
    }

    let mut make = MakeContextService::new(service_fn(async |()| Ok::<_, Infallible>(Sets)));
    let mut service = Context::new().run(|| make.call(())).now_or_never().unwrap().unwrap();
    for _ in 0..2 {
        assert_eq!(service.ready().now_or_never().unwrap().unwrap().call(1).now_or_never(), Some(Ok(false)));
    }
}

#[test]
fn each_request_of_a_connection_has_a_copy() {
    on_both_flavors(|| async {
        let held = Arc::new(());
        let log = Log::default();
        let mut make = MakeContextService::new(service_fn({
            let log = log.clone();
            move |name: &'static str| {
                log.push(format!("made for {}", USER.get()));
                let log = log.clone();
                async move {
                    tokio::task::yield_now().await;
                    USER.set(name.to_owned());
                    if name == "refused" {
                        return Err("refused");
                    }
                    Ok(service_fn(move |n: u64| {
                        log.push(format!("called for {}", USER.get()));
                        USER.set(format!("{name} {n}"));
                        async move {
                            tokio::task::yield_now().await;
                            if n == 0 { Err("zero") } else { Ok::<_, &str>(USER.get()) }
                        }
                    }))
                }
            }
        }));

        let made = ada().with_value(&HELD, held.clone()).run(|| make.call("grace"));
        let mut service = made.await.unwrap();
        assert_eq!(Arc::strong_count(&held), 2);
        // Each call has its own copy, also on a clone of the service.
        let mut clone = service.clone();
        let (one, two) = (service.call(1), service.ready().await.unwrap().call(2));
        let three = clone.call(3);
        let (one, two, three) = tokio::join!(two, one, three);
        assert_eq!([one.unwrap(), two.unwrap(), three.unwrap()], ["grace 2", "grace 1", "grace 3"]);
        assert_eq!(service.call(0).await, Err("zero"));
        assert_eq!(
            log.take(),
            ["made for ada"].into_iter().chain(["called for grace"; 4]).collect::<Vec<_>>()
        );

        // A call that is dropped unfinished, a connection that is refused, and one that is dropped
        // unfinished.
        drop(service.call(4));
        drop((service, clone));
        assert_eq!(Arc::strong_count(&held), 1);
        let refused = ada().with_value(&HELD, held.clone()).run(|| make.call("refused"));
        assert_eq!(refused.await.map(drop), Err("refused"));
        drop(ada().with_value(&HELD, held.clone()).run(|| make.call("cut short")));
        assert_eq!((Arc::strong_count(&held), USER.get().as_str()), (1, "nobody"));
    });
}

/// With this many connections, each gets counts of its own.
#[test]
fn many_connections_share_values_and_no_writes() {
    const CONNECTIONS: usize = 20;

    fn service() -> impl Service<Request<()>, Error = Infallible, Future: Send> + Send {
        let set = service_fn(async |request: Request<()>| {
            assert_eq!((USER.get().as_str(), HELD.with(Arc::strong_count)), ("ada", 2));
            USER.set(request.uri().path().to_owned());
            tokio::task::yield_now().await;
            assert_eq!(USER.get(), request.uri().path());
            task::spawn(async { HELD.set(Arc::new(())) }).await.unwrap();
            Ok::<_, Infallible>(Response::new(()))
        });
        ContextLayer::from_current().layer(set)
    }

    async fn three_requests(mut service: impl Service<Request<()>, Error = Infallible, Future: Send>) {
        for path in ["/1", "/2", "/3"] {
            let Ok(_) = service.call(Request::get(path).body(()).unwrap()).await;
        }
    }

    on_both_flavors(|| async {
        let held = Arc::new(());
        let mut shared = ada().with_value(&HELD, held.clone());
        let mut make = MakeContextService::new(service_fn(async |()| Ok::<_, Infallible>(service())));
        let made: Vec<_> = (0..CONNECTIONS).map(|_| shared.run(|| make.call(()))).collect();
        let by_hand: Vec<_> = (0..CONNECTIONS)
            .map(|_| shared.run(|| task::spawn(async { three_requests(service()).await })))
            .collect();
        let mut tasks = Vec::new();
        for made in made {
            tasks.push(tokio::spawn(three_requests(made.await.unwrap())));
        }
        for task in tasks.into_iter().chain(by_hand) {
            task.await.unwrap();
        }
        assert_eq!((Arc::strong_count(&held), shared[&USER].as_str()), (2, "ada"));
        drop(shared);
        assert_eq!(Arc::strong_count(&held), 1);
    });
}
