//! The shop's customers.

use std::time::Duration;

use reqwest::{Client, Error};
use tokio::time::interval;

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
    pub(crate) async fn send(self, client: &Client, url: &str) -> Result<String, Error> {
        let request = client
            .get(format!("{url}/{}", self.path()))
            .header("x-request-id", self.0)
            .header("x-tenant", self.tenant())
            .header("x-user", self.user())
            .header("authorization", format!("{SECRET}-{}", self.0));
        request.send().await?.error_for_status()?.text().await
    }
}

/// Returns a client that uses no proxy: a proxy on another machine would connect to its own localhost.
pub(crate) fn client() -> Result<Client, Error> {
    Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()
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
