//! The shop's customers.

use std::error::Error;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{self, StatusCode};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{interval, timeout};

/// The start of each token, which the page must never show.
pub(crate) const SECRET: &str = "secret-of-user";

/// A customer's request. The number determines its path, tenant and user.
#[derive(Clone, Copy)]
pub(crate) struct Request(pub(crate) u64);

impl Request {
    pub(crate) fn path(self) -> &'static str {
        match self.0 % 50 {
            9 => "track",
            n if n % 3 == 0 => "checkout",
            n if n % 10 == 5 => "search",
            _ => "products",
        }
    }

    pub(crate) fn tenant(self) -> &'static str {
        // Clients can send such names. The page must not interpret one as markup.
        ["acme", "north", "<script>alert(1)</script>"][(self.0 / 3 % 3) as usize]
    }

    pub(crate) fn user(self) -> String {
        format!("user-{}", self.0 % 7)
    }

    /// Sends the request and returns the answer.
    pub(crate) async fn send(self, client: &Client, url: &str) -> Result<String> {
        let request = http::Request::get(format!("{url}/{}", self.path()))
            .header("x-request-id", self.0)
            .header("x-tenant", self.tenant())
            .header("x-user", self.user())
            .header("authorization", format!("{SECRET}-{}", self.0));
        client.send(request).await
    }
}

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[derive(Clone)]
pub(crate) struct Client(hyper_util::client::legacy::Client<HttpConnector, Body>);

impl Client {
    pub(crate) fn new() -> Self {
        Client(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build_http())
    }

    /// Sends a request and returns the body of the response. A status other than 200 is an error.
    pub(crate) async fn send(&self, request: Builder) -> Result<String> {
        match self.send_for_status(request).await? {
            (StatusCode::OK, body) => Ok(body),
            (status, body) => Err(format!("{status}: {body}").into()),
        }
    }

    /// Sends a request and returns the status and the body of the response.
    pub(crate) async fn send_for_status(&self, request: Builder) -> Result<(StatusCode, String)> {
        timeout(Duration::from_secs(30), async {
            let response = self.0.request(request.body(Body::empty())?).await?;
            let (status, body) = (response.status(), Body::new(response.into_body()));
            Ok((status, String::from_utf8(to_bytes(body, usize::MAX).await?.into())?))
        })
        .await?
    }
}

/// Sends requests until the shop ends.
pub(crate) async fn run(client: Client, url: String) {
    let mut times = interval(Duration::from_millis(250));
    for number in 1.. {
        times.tick().await;
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move { Request(number).send(&client, &url).await });
    }
}
