//! A websocket that runs in the context of its request.

// Recipe

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use contextvar::{context_var, inherit_context, tower::ContextLayer};

#[context_var(name = "user", log)]
static USER: String;

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(inherit_context().bind_async_with(answer))
}

async fn answer(mut socket: WebSocket) {
    while let Some(Ok(Message::Text(text))) = socket.recv().await {
        let answer = format!("{text}, {}", USER.get());
        if socket.send(Message::text(answer)).await.is_err() {
            return;
        }
    }
}

fn app() -> Router {
    let context = ContextLayer::new()
        .set_if_some(&USER, |request| Some(request.headers.get("x-user")?.to_str().ok()?.to_owned()));
    Router::new().route("/chat", any(chat)).layer(context)
}

// Test

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::support::serve;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(address: SocketAddr, user: &'static str) -> Socket {
    let mut request = format!("ws://{address}/chat").into_client_request().unwrap();
    request.headers_mut().insert("x-user", user.parse().unwrap());
    connect_async(request).await.unwrap().0
}

/// Sends a message and returns the answer, or `None` if the server has closed the connection.
async fn ask(socket: &mut Socket, text: &'static str) -> Option<String> {
    socket.send(tungstenite::Message::text(text)).await.ok()?;
    Some(socket.next().await?.ok()?.into_text().unwrap().as_str().to_owned())
}

#[tokio::test]
async fn each_socket_has_the_user_of_its_request() {
    let address = serve(app()).await;
    let mut ada = connect(address, "ada").await;
    let mut grace = connect(address, "grace").await;
    for _ in 0..2 {
        assert_eq!(ask(&mut ada, "hello").await.as_deref(), Some("hello, ada"));
        assert_eq!(ask(&mut grace, "hello").await.as_deref(), Some("hello, grace"));
    }
}

#[tokio::test]
async fn without_the_binding_a_socket_has_no_user() {
    async fn unbound(upgrade: WebSocketUpgrade) -> Response {
        upgrade.on_upgrade(answer)
    }

    let layer = ContextLayer::new().set(&USER, |_| "ada".to_owned());
    let address = serve(Router::new().route("/chat", any(unbound)).layer(layer)).await;
    let mut socket = connect(address, "ada").await;
    assert_eq!(ask(&mut socket, "hello").await, None, "`USER.get()` has panicked");
}
