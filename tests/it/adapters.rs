//! What the features for other crates' traits add: sinks, HTTP bodies, hyper's executor, tower's services.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::routing::get;
use axum::serve::IncomingStream;
use bytes::Bytes;
use contextvar::hyper::ContextExecutor;
use contextvar::tower::MakeContextService;
use contextvar::{Context, InContext, Scoped, context_var, copy_context, task, with_copied_context};
use futures::FutureExt;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::sink::{self, Sink, SinkExt};
use futures::stream::{self, Stream, StreamExt};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceExt, service_fn};

use crate::support::{Log, OnDrop, on_both_flavours, panic_text};

#[context_var]
static USER: String = "nobody".to_owned();

#[context_var]
static HELD: Arc<()>;

#[context_var(inherit = false)]
static TRANSACTION: u64;

fn ada() -> Context {
    Context::new().with_value(&USER, "ada".to_owned()).with_value(&TRANSACTION, 1)
}

// Sinks.

#[test]
fn every_step_of_a_sink_is_in_its_context() {
    /// Notes each step, and in whose context it was.
    struct Steps(Log);

    impl Steps {
        fn note(&self, step: &str) -> Poll<Result<(), io::Error>> {
            self.0.push(format!("{step} {}", USER.get()));
            USER.set(format!("after {step}"));
            Poll::Ready(Ok(()))
        }
    }

    impl Sink<u8> for Steps {
        type Error = io::Error;

        fn poll_ready(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
            self.note("ready")
        }

        fn start_send(self: Pin<&mut Self>, item: u8) -> io::Result<()> {
            let _ = self.note(&format!("send {item}"));
            if item == 2 { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
            self.note("flush")
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<io::Result<()>> {
            self.note("close")
        }
    }

    impl Drop for Steps {
        fn drop(&mut self) {
            let _ = self.note("drop");
        }
    }

    let log = Log::default();
    futures::executor::block_on(async {
        let mut sink = Box::pin(ada().scope(Steps(log.clone())));
        sink.send(1).await.unwrap();
        assert_eq!(sink.send(2).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        SinkExt::<u8>::close(&mut sink).await.unwrap();
        assert_eq!(sink.context()[&USER], "after close");
        drop(sink);
        assert_eq!(USER.get(), "nobody");
    });
    let steps = [
        "ready ada",
        "send 1 after ready",
        "flush after send 1",
        "ready after flush",
        "send 2 after ready",
        "close after send 2",
        "drop after close",
    ];
    assert_eq!(log.take(), steps);
}

#[test]
fn a_sink_of_channels_and_closures() {
    on_both_flavours(|| async {
        let held = Arc::new(());
        let (sender, receiver) = mpsc::channel::<String>(4);
        let ctx = ada().with_value(&HELD, held.clone());
        let with_user = sender.with(|text: &str| {
            let line = format!("{}: {text}", USER.get());
            async { Ok::<_, mpsc::SendError>(line) }
        });
        let mut sink = Box::pin(ctx.scope(with_user));
        sink.send("hello").await.unwrap();
        task::spawn(async move { sink.send("from a task").await.unwrap() }).await.unwrap();
        assert_eq!(receiver.collect::<Vec<_>>().await, ["ada: hello", "ada: from a task"]);
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn a_sink_that_is_a_stream_too() {
    struct Duplex(Option<u8>);

    impl Stream for Duplex {
        type Item = u8;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Option<u8>> {
            Poll::Ready(self.0.take())
        }
    }

    impl Sink<u8> for Duplex {
        type Error = Infallible;

        fn poll_ready(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn start_send(mut self: Pin<&mut Self>, item: u8) -> Result<(), Infallible> {
            self.0 = Some(item);
            Ok(())
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }
    }

    let text = "sent to a `Scoped` whose stream has ended, which dropped the sink too: split it first, and scope \
                the halves";
    futures::executor::block_on(async {
        let mut both = pin!(ada().scope(Duplex(None)));
        both.send(1).await.unwrap();
        assert_eq!(both.next().await, Some(1));
        assert_eq!(both.next().await, None);
        both.flush().await.unwrap();
        both.close().await.unwrap();
        let mut cx = std::task::Context::from_waker(Waker::noop());
        assert_eq!(panic_text(|| both.as_mut().poll_ready(&mut cx)), text);
        assert_eq!(panic_text(|| both.as_mut().start_send(2)), text);
        assert_eq!(USER.get(), "nobody");

        // Split first.
        let (sink, stream) = Duplex(Some(1)).split();
        let (mut sink, mut stream) = (pin!(ada().scope(sink)), pin!(ada().scope(stream)));
        assert_eq!((stream.next().await, stream.next().await), (Some(1), None));
        sink.send(2).await.unwrap();
    });
}

#[test]
fn a_sink_that_panics_leaves_the_context() {
    futures::executor::block_on(async {
        let panics = |(): ()| async {
            if USER.is_set() { panic!("in {}", USER.get()) } else { Ok::<(), Infallible>(()) }
        };
        let mut sink = pin!(ada().scope(sink::drain::<()>().with(panics)));
        let send = std::panic::AssertUnwindSafe(sink.send(()));
        let panic = futures::FutureExt::catch_unwind(send).await.unwrap_err();
        assert_eq!(*panic.downcast::<String>().unwrap(), "in ada");
        assert_eq!(USER.get(), "nobody");
    });
}

// HTTP bodies.

fn events(held: &Arc<()>) -> Scoped<impl Body<Data = Bytes, Error = Infallible> + use<>> {
    let events = stream::iter(0..3).map(|n| {
        let event = format!("{n} {}\n", USER.get());
        USER.set(format!("{}!", USER.get()));
        Ok(Frame::data(Bytes::from(event)))
    });
    ada().with_value(&HELD, held.clone()).scope(StreamBody::new(events))
}

#[test]
fn a_body_runs_in_its_context_and_lets_go_of_it_at_its_end() {
    on_both_flavours(|| async {
        let held = Arc::new(());
        let mut body = Box::pin(events(&held));
        assert!(!body.is_end_stream());
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((first, Arc::strong_count(&held)), ("0 ada\n".into(), 2));
        USER.set("the server's".to_owned());
        assert_eq!((&mut body).collect().await.unwrap().to_bytes(), "1 ada!\n2 ada!!\n");
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(body.frame().await.is_none() && body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert_eq!(USER.get(), "the server's");
        // Cut short.
        let mut body = Box::pin(events(&held));
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn a_body_says_what_the_inner_one_says() {
    let full = Context::new().scope(Full::new(Bytes::from("12345")));
    assert_eq!(full.size_hint().exact(), Some(5));
    assert!(!full.is_end_stream());
    let empty = Context::new().scope(Empty::<Bytes>::new());
    assert!(empty.is_end_stream());

    /// Ends with trailers, after an error.
    struct Trailers(u8);

    impl Body for Trailers {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            self.0 += 1;
            Poll::Ready(match self.0 {
                1 => Some(Err("an error")),
                2 => Some(Ok(Frame::trailers(
                    [("user".parse().unwrap(), USER.get().parse().unwrap())].into_iter().collect(),
                ))),
                _ => None,
            })
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(7)
        }
    }

    futures::executor::block_on(async {
        let mut body = Box::pin(ada().scope(Trailers(0)));
        assert_eq!(body.size_hint().exact(), Some(7));
        assert_eq!(body.frame().await.unwrap().unwrap_err(), "an error");
        let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
        assert_eq!(trailers["user"], "ada");
        assert!(body.frame().await.is_none());
    });
}

// Servers.

/// Sends one request over HTTP/1.1, and gives the body of the response.
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
fn axum_whose_connections_have_contexts() {
    #[derive(Clone)]
    struct Peer(SocketAddr);

    impl Connected<IncomingStream<'_, TcpListener>> for Peer {
        fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
            // Runs where the connection's service is made.
            assert_eq!(USER.get(), "the server's");
            assert!(!TRANSACTION.is_set());
            USER.set("the connection's".to_owned());
            Peer(*stream.remote_addr())
        }
    }

    on_both_flavours(|| async {
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
fn what_a_service_sets_when_it_is_asked_whether_it_is_ready_no_request_sees() {
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
fn make_in_context_and_its_services() {
    on_both_flavours(|| async {
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
        // Each in a copy of its own, and so are those of a clone.
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

        // One that is cut short, and one that panics.
        drop(service.call(4));
        drop((service, clone));
        assert_eq!(Arc::strong_count(&held), 1);
        let refused = ada().with_value(&HELD, held.clone()).run(|| make.call("refused"));
        assert_eq!(refused.await.map(drop), Err("refused"));
        drop(ada().with_value(&HELD, held.clone()).run(|| make.call("cut short")));
        assert_eq!((Arc::strong_count(&held), USER.get().as_str()), (1, "nobody"));
    });
}

#[test]
fn hypers_tasks_inherit() {
    type Seen = Arc<Mutex<Vec<String>>>;

    async fn serve(seen: Seen, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (before, path) = (USER.get(), request.uri().path().to_owned());
        assert!(!TRANSACTION.is_set());
        // It has a context of its own, though nobody here gave it one.
        USER.set(format!("{before}'s {path}"));
        tokio::task::yield_now().await;
        seen.lock().unwrap().push(USER.get());
        Ok(Response::new(Full::new(before.into())))
    }

    on_both_flavours(|| async {
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
            "each stream in a copy of the connection's"
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
    let (sender, said) = std::sync::mpsc::channel();
    ada().with_value(&HELD, held.clone()).run(|| {
        let dropped = sender.clone();
        hyper::rt::Executor::execute(&executor, async move { sender.send(USER.get()).unwrap() });
        let says = OnDrop(move || dropped.send(format!("dropped in {}'s", USER.get())).unwrap());
        hyper::rt::Executor::execute(&executor, async move {
            let _says = says;
            pending().await
        });
        USER.set("later".to_owned());
    });
    let mut futures = std::mem::take(&mut *later.0.lock().unwrap());
    assert_eq!(Arc::strong_count(&held), 2, "both share it");
    futures::executor::block_on(futures.remove(0));
    assert_eq!(said.recv().unwrap(), "ada");
    drop(futures);
    assert_eq!((said.recv().unwrap().as_str(), Arc::strong_count(&held)), ("dropped in ada's", 1));
}
