//! Salvo's handlers: the attribute above and below `#[handler]`, on functions and on an `impl`.

use contextvar::{context_var, with_copied_context};
use salvo::test::{ResponseExt, TestClient};
use salvo::{Request, Router, Service, handler};

#[context_var]
static USER: String = "nobody".to_owned();

/// Answers with the value that it finds, and with the one that it sets.
async fn visit() -> String {
    let found = USER.get();
    USER.set("visitor".to_owned());
    tokio::task::yield_now().await;
    format!("{found}, {}", USER.get())
}

#[with_copied_context]
#[handler]
async fn above() -> String {
    visit().await
}

#[handler]
#[with_copied_context]
async fn below() -> String {
    visit().await
}

#[with_copied_context(USER = request.param("user").unwrap())]
#[handler]
async fn entry_above(request: &mut Request) -> String {
    visit().await
}

#[handler]
#[with_copied_context(USER = request.param("user").unwrap())]
async fn entry_below(request: &mut Request) -> String {
    visit().await
}

struct ImplAbove;

#[with_copied_context]
#[handler]
impl ImplAbove {
    async fn handle(&self) -> String {
        visit().await
    }
}

struct ImplBelow;

#[handler]
#[with_copied_context(USER = "ada".to_owned())]
impl ImplBelow {
    async fn handle(&self) -> String {
        visit().await
    }
}

#[handler]
async fn plain() -> String {
    visit().await
}

#[tokio::test]
async fn each_request_keeps_the_values_of_its_handler() {
    let router = Router::new()
        .push(Router::with_path("above").get(above))
        .push(Router::with_path("below").get(below))
        .push(Router::with_path("entry_above/{user}").get(entry_above))
        .push(Router::with_path("entry_below/{user}").get(entry_below))
        .push(Router::with_path("impl_above").get(ImplAbove))
        .push(Router::with_path("impl_below").get(ImplBelow))
        .push(Router::with_path("plain").get(plain));
    let service = &Service::new(router);
    let get = async |path: &str| {
        let request = TestClient::get(format!("http://localhost/{path}"));
        request.send(service).await.take_string().await.unwrap()
    };

    USER.set("grace".to_owned());
    for _ in 0..2 {
        assert_eq!(get("above").await, "grace, visitor");
        assert_eq!(get("below").await, "grace, visitor");
        assert_eq!(get("entry_above/ada").await, "ada, visitor");
        assert_eq!(get("entry_below/ada").await, "ada, visitor");
        assert_eq!(get("impl_above").await, "grace, visitor");
        assert_eq!(get("impl_below").await, "ada, visitor");
        assert_eq!(USER.get(), "grace");
    }

    // A handler without the attribute shares the context of its caller.
    assert_eq!(get("plain").await, "grace, visitor");
    assert_eq!(get("plain").await, "visitor, visitor");
}
