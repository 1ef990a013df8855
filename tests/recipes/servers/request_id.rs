//! The request's id, in a header of its response.

// Recipe

use axum::Router;
use axum::http::{HeaderName, request::Parts};
use contextvar::{context_var, tower::ContextLayer};
use uuid::Uuid;

#[context_var(name = "request_id", log)]
static REQUEST_ID: String;

static HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Returns the client's id, if it is short and plain.
fn id_of(request: &Parts) -> Option<String> {
    let id = request.headers.get(&HEADER)?.to_str().ok()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_plain && (1..=64).contains(&id.len())).then(|| id.to_owned())
}

fn with_request_id(routes: Router) -> Router {
    let context = ContextLayer::new()
        .set(&REQUEST_ID, |request| id_of(request).unwrap_or_else(|| Uuid::new_v4().to_string()))
        .response_header(HEADER.clone(), &REQUEST_ID);
    routes.layer(context) // the last layer
}

// Test

use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::support::{ask, ask_both, in_pairs, serve};

#[tokio::test]
async fn each_response_has_the_id_of_its_request() {
    let app = with_request_id(in_pairs(|| REQUEST_ID.get()));
    let address = serve(app).await;
    let [given, made] = ask_both(address, ["x-request-id: order-7", "accept: */*"]).await;
    assert_eq!((given.header("x-request-id"), &*given.body), (Some("order-7"), "order-7"));
    let id = made.header("x-request-id").unwrap();
    assert_eq!(id, made.body);
    Uuid::parse_str(id).unwrap();
}

#[tokio::test]
async fn ids_that_are_long_or_not_plain_are_replaced() {
    let address = serve(with_request_id(Router::new())).await;
    for (id, is_accepted) in
        [("7".repeat(64), true), ("7".repeat(65), false), ("a b".to_owned(), false), (String::new(), false)]
    {
        // The answer to a path that does not exist has the header as well.
        let answer = ask(address, "/none", &format!("x-request-id: {id}")).await;
        assert_eq!(answer.status, "404");
        let header = answer.header("x-request-id").unwrap();
        assert_eq!(header == id, is_accepted);
        assert!(is_accepted || Uuid::parse_str(header).is_ok());
    }
}

#[tokio::test]
async fn a_rejection_has_the_id_if_the_id_is_set_first() {
    let reject = |status: StatusCode| status.into_response();
    let refused = || ContextLayer::new().set_or_reject(&TENANT, |_| Err(StatusCode::FORBIDDEN), reject);
    #[context_var]
    static TENANT: String;

    let id_first = ContextLayer::new().set(&REQUEST_ID, |_| "7".to_owned()).set_or_reject(
        &TENANT,
        |_| Err(StatusCode::FORBIDDEN),
        reject,
    );
    let id_later = refused().set(&REQUEST_ID, |_| "7".to_owned());
    for (layer, expected) in [(id_first, Some("7")), (id_later, None)] {
        let layer = layer.response_header(HEADER.clone(), &REQUEST_ID);
        let address = serve(Router::new().layer(layer)).await;
        let answer = ask(address, "/", "accept: */*").await;
        assert_eq!((&*answer.status, answer.header("x-request-id")), ("403", expected));
    }
}
