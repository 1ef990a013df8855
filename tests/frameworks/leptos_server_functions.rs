//! Leptos's server functions: the attribute above and below `#[server]`.

use contextvar::{context_var, with_copied_context};
use leptos::prelude::{ServerFnError, server};
use server_fn::ServerFn;
use server_fn::axum::handle_server_fn;
use server_fn::axum_export::body::{Body, to_bytes};
use server_fn::axum_export::http::Request;

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
#[server]
async fn above() -> Result<String, ServerFnError> {
    Ok(visit().await)
}

#[server]
#[with_copied_context]
async fn below() -> Result<String, ServerFnError> {
    Ok(visit().await)
}

// `#[server]` expands to two functions with these attributes, one of which calls the other. So a call on the
// server evaluates the entry twice, and the entry can't move an argument.
#[with_copied_context(USER = user.clone())]
#[server]
async fn entry_above(user: String) -> Result<String, ServerFnError> {
    Ok(visit().await)
}

#[server]
#[with_copied_context(USER = user.clone())]
async fn entry_below(user: String) -> Result<String, ServerFnError> {
    Ok(visit().await)
}

#[server]
async fn plain() -> Result<String, ServerFnError> {
    Ok(visit().await)
}

/// Sends a request as a browser does.
async fn post<F: ServerFn>(form: &'static str) -> String {
    let request = Request::post(F::PATH).header("content-type", "application/x-www-form-urlencoded");
    let response = handle_server_fn(request.body(Body::from(form)).unwrap()).await;
    let body = to_bytes(response.into_body(), 100).await.unwrap();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn each_request_keeps_the_values_of_its_function() {
    USER.set("grace".to_owned());
    for _ in 0..2 {
        assert_eq!(post::<Above>("").await, "grace, visitor");
        assert_eq!(post::<Below>("").await, "grace, visitor");
        assert_eq!(post::<EntryAbove>("user=ada").await, "ada, visitor");
        assert_eq!(post::<EntryBelow>("user=ada").await, "ada, visitor");
        assert_eq!(USER.get(), "grace");
    }

    // When the server renders a page, it calls them as functions.
    assert_eq!(above().await.unwrap(), "grace, visitor");
    assert_eq!(below().await.unwrap(), "grace, visitor");
    assert_eq!(entry_above("ada".to_owned()).await.unwrap(), "ada, visitor");
    assert_eq!(entry_below("ada".to_owned()).await.unwrap(), "ada, visitor");
    assert_eq!(USER.get(), "grace");

    // A function without the attribute shares the context of its caller.
    assert_eq!(post::<Plain>("").await, "grace, visitor");
    assert_eq!(post::<Plain>("").await, "visitor, visitor");
}
