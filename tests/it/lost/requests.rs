//! Requests of an axum server.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{Request, Response, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use axum::{Router, response};
use contextvar::report::{self, Access, Cause};
use contextvar::tower::ContextLayer;
use contextvar::{InContext, inherit_context, with_copied_context};
use futures::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::buffer::Buffer;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

use super::connections::{Client, serve};
use crate::support::on_both_flavors;

#[test]
fn a_handler_without_a_layer() {
    user!("a_handler_without_a_layer");
    on_both_flavors(|| async {
        let app = || Router::new().route("/", get(user));
        let layer = ContextLayer::new().set(&USER, |_| "ada");
        assert_eq!(Client::new(serve(app()).await).await.get("/", "").await, "nobody");
        assert_eq!(Client::new(serve(app().layer(layer)).await).await.get("/", "").await, "ada");
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

/// In axum the last `.layer()` is the outermost one.
#[test]
fn a_middleware_outside_of_the_layer() {
    user!("a_middleware_outside_of_the_layer");

    async fn add_user(request: Request<Body>, next: Next) -> Response<Body> {
        let user = user().await;
        let mut response = next.run(request).await;
        response.headers_mut().insert("user", user.parse().unwrap());
        response
    }

    on_both_flavors(|| async {
        let app = || Router::new().route("/", get(async || ""));
        let layer = || ContextLayer::new().set(&USER, |_| "ada");
        let outside = app().layer(layer()).layer(from_fn(add_user));
        let inside = app().layer(from_fn(add_user)).layer(layer());
        for (app, user) in [(outside, "nobody"), (inside, "ada")] {
            let response = Client::new(serve(app).await).await.send("/", "").await;
            assert_eq!(response.headers()["user"], user);
        }
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

/// A `set` that is refused panics. `CatchPanic` answers the client, whose connection would close otherwise.
#[test]
fn an_extractor_without_a_layer() {
    user!("an_extractor_without_a_layer");

    struct Login;

    impl<S: Sync> FromRequestParts<S> for Login {
        type Rejection = Infallible;

        async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Login, Infallible> {
            USER.set("ada");
            Ok(Login)
        }
    }

    on_both_flavors(|| async {
        let app =
            || Router::new().route("/", get(async |_: Login| user().await)).layer(CatchPanicLayer::new());
        let mut client = Client::new(serve(app()).await).await;
        for _ in 0..2 {
            assert_eq!(client.send("/", "").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
        }
        let app = app().layer(ContextLayer::new());
        assert_eq!(Client::new(serve(app).await).await.get("/", "").await, "ada");
    });
    let reports: Vec<_> = report::all().into_iter().filter(|it| it.variable() == USER.name()).collect();
    let [report] = &*reports else { panic!("{reports:?}") };
    assert_eq!((report.access(), report.cause(), report.count()), (Access::Write, Cause::NoContext, 4));
    assert!(report.location().line() > LINE && report.location().file() == file!());
    assert!(report.remedy().contains("`contextvar::tower::ContextLayer` around"), "{report}");
}

/// A body that is streamed is polled after the handler has returned.
#[test]
fn a_streamed_body() {
    user!("a_streamed_body");

    #[with_copied_context(USER = "ada")]
    async fn handler() -> Body {
        Body::from_stream(stream::once(async { Ok::<_, Infallible>(user().await) }))
    }

    #[with_copied_context(USER = "ada")]
    async fn scoped() -> Body {
        Body::new(inherit_context().scope(handler().await))
    }

    on_both_flavors(|| async {
        let app = || Router::new().route("/", get(handler)).route("/scoped", get(scoped));
        let mut client = Client::new(serve(app()).await).await;
        assert_eq!(client.get("/", "").await, "nobody");
        assert_eq!(client.get("/scoped", "").await, "ada");
        let app = Router::new().route("/", get(handler)).layer(ContextLayer::new().set(&USER, |_| "ada"));
        assert_eq!(Client::new(serve(app).await).await.get("/", "").await, "ada");
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

/// A buffer calls its service in a task of its own. The future that the service returns is polled by the
/// request.
#[test]
fn a_buffer_of_tower() {
    user!("a_buffer_of_tower");
    on_both_flavors(|| async {
        let service = || {
            service_fn(|_: Request<()>| {
                let called_as = user_now();
                async move { Ok::<_, Infallible>(Response::new(format!("{called_as}, {}", user().await))) }
            })
        };
        let layer = || ContextLayer::new().set(&USER, |_| "ada");
        let outside = layer().layer(Buffer::new(service(), 1));
        assert_eq!(call(outside).await, "nobody, ada");
        let inside = Buffer::new(layer().layer(service()), 1);
        assert_eq!(call(inside).await, "ada, ada");
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

async fn call<S, B>(service: S) -> String
where
    S: Service<Request<()>, Response = Response<B>, Error: std::fmt::Debug>,
    B: http_body_util::BodyExt<Error: std::fmt::Debug, Data: Send>,
{
    let response = service.oneshot(Request::new(())).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

/// What `main` sets is in the handlers if a layer sets it.
#[test]
fn a_value_of_main() {
    user!("a_value_of_main");
    on_both_flavors(|| async {
        USER.set("of main");
        let app = || Router::new().route("/", get(user));
        let new = app().layer(ContextLayer::new());
        assert_eq!(Client::new(serve(new).await).await.get("/", "").await, "nobody");
        let user = USER.get();
        let set = app().layer(ContextLayer::new().set(&USER, move |_| user));
        assert_eq!(Client::new(serve(set).await).await.get("/", "").await, "of main");
    });
    assert_eq!(reported(), []);
}

/// The four wrong ways to hand a function over to `on_upgrade`, and the three right ones.
#[test]
fn a_websocket() {
    user!("a_websocket");

    async fn socket(mut socket: WebSocket) {
        let user = user().await;
        socket.send(Message::text(user)).await.unwrap();
    }

    #[with_copied_context]
    async fn annotated(upgraded: WebSocket) {
        socket(upgraded).await;
    }

    async fn upgrade(ws: WebSocketUpgrade, uri: axum::http::Uri) -> response::Response {
        let mut ctx = inherit_context();
        match uri.path() {
            "/plain" => ws.on_upgrade(socket),
            "/annotated" => ws.on_upgrade(annotated),
            "/late" => ws.on_upgrade(|upgraded| socket(upgraded).in_inherited_context()),
            "/run" => ws.on_upgrade(move |upgraded| ctx.run(|| socket(upgraded))),

            "/bind_async_with" => ws.on_upgrade(ctx.bind_async_with(socket)),
            "/scope" => ws.on_upgrade(move |upgraded| ctx.scope(socket(upgraded))),
            "/run_annotated" => ws.on_upgrade(move |upgraded| ctx.run(|| annotated(upgraded))),
            path => unreachable!("{path}"),
        }
    }

    /// Opens a websocket and returns the text of the server's first frame.
    async fn first_frame(address: std::net::SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 101"));
        assert_eq!(stream.read_u8().await.unwrap(), 0x81, "the only frame of a text");
        let mut text = vec![0; stream.read_u8().await.unwrap().into()];
        stream.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    on_both_flavors(|| async {
        let lost = || reported().iter().map(|(_, count)| count).sum::<u64>();
        let start = lost();
        let layer = ContextLayer::new().set(&USER, |_| "ada");
        let address = serve(Router::new().fallback(get(upgrade)).layer(layer)).await;
        for (path, count) in [("/plain", 1), ("/annotated", 2), ("/late", 3), ("/run", 4)] {
            assert_eq!(
                (first_frame(address, path).await.as_str(), lost() - start),
                ("nobody", count),
                "{path}"
            );
        }
        for path in ["/bind_async_with", "/scope", "/run_annotated"] {
            assert_eq!((first_frame(address, path).await.as_str(), lost() - start), ("ada", 4), "{path}");
        }
    });
    assert_eq!(reported(), [(Cause::NoContext, 8)]);
}
