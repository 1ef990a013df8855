//! A middleware that sets the user.

// Recipe

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header::AUTHORIZATION};
use axum::middleware::{self, Next};
use axum::response::Response;
use contextvar::{context_var, tower::ContextLayer};

#[context_var(name = "user", log)]
static USER: String;

async fn authenticate(request: Request, next: Next) -> Result<Response, StatusCode> {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = header.and_then(|value| value.strip_prefix("Bearer "));
    let user = user_of(token.ok_or(StatusCode::UNAUTHORIZED)?).await;
    USER.set(user.ok_or(StatusCode::UNAUTHORIZED)?);
    Ok(next.run(request).await)
}

async fn user_of(token: &str) -> Option<String> {
    let sessions = [("token-1", "ada"), ("token-2", "grace")]; // in place of a database
    Some(sessions.iter().find(|session| session.0 == token)?.1.to_owned())
}

fn with_users(public: Router, private: Router) -> Router {
    let private = private.route_layer(middleware::from_fn(authenticate));
    public.merge(private).layer(ContextLayer::new()) // the last layer
}

// Test

use axum::routing::get;
use contextvar::{task, with_copied_context};

use super::support::{Answer, ask, ask_both, in_pairs, serve};

fn user() -> String {
    format!("{:?}", USER.try_get().ok())
}

fn public() -> Router {
    Router::new().route("/public", get(async || user()))
}

#[tokio::test]
async fn a_handler_and_its_tasks_see_the_user_that_the_middleware_has_set() {
    let private = in_pairs(user).route("/task", get(async || task::spawn(async { user() }).await.unwrap()));
    let address = serve(with_users(public(), private)).await;
    let tokens = ["authorization: Bearer token-1", "authorization: Bearer token-2"];
    let [ada, grace] = ask_both(address, tokens).await;
    assert_eq!((&*ada.body, &*grace.body), (r#"Some("ada")"#, r#"Some("grace")"#));
    assert_eq!(ask(address, "/task", tokens[1]).await.body, r#"Some("grace")"#);
    assert_eq!(ask(address, "/public", tokens[0]).await.body, "None");
}

#[tokio::test]
async fn a_request_without_a_user_is_rejected() {
    let address = serve(with_users(public(), Router::new().route("/", get(async || user())))).await;
    for header in ["accept: */*", "authorization: Basic token-1", "authorization: Bearer token-3"] {
        let Answer { status, body, .. } = ask(address, "/", header).await;
        assert_eq!((&*status, &*body), ("401", ""), "{header}");
    }
    assert_eq!(ask(address, "/none", "accept: */*").await.status, "404");
}

#[tokio::test]
async fn with_the_layer_inside_of_the_middleware_set_panics() {
    let private = Router::new().route("/", get(async || user()));
    let wrong = private.layer(ContextLayer::new()).route_layer(middleware::from_fn(authenticate));
    let address = serve(wrong).await;
    let answer = ask(address, "/", "authorization: Bearer token-1").await;
    assert_eq!((&*answer.status, &*answer.body), ("", ""), "no answer");
}

#[tokio::test]
async fn the_value_that_an_annotated_function_sets_stays_in_its_copy() {
    #[with_copied_context]
    async fn log_in() {
        USER.set("ada".to_owned());
    }

    async fn authenticate(request: Request, next: Next) -> Response {
        log_in().await;
        next.run(request).await
    }

    let routes = Router::new().route("/", get(async || user()));
    let app = routes.route_layer(middleware::from_fn(authenticate)).layer(ContextLayer::new());
    assert_eq!(ask(serve(app).await, "/", "accept: */*").await.body, "None");
}
