//! tower-http's `CatchPanicLayer` inside of the `ContextLayer`.

// Recipe

use std::any::Any;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use contextvar::{context_var, tower::ContextLayer};
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};
use tracing::error;
use uuid::Uuid;

#[context_var(name = "request_id", log)]
static REQUEST_ID: Uuid;

/// Returns the response to a request whose handler has panicked.
fn apologize(_: Box<dyn Any + Send>) -> Response {
    error!("the handler panicked");
    let text = format!("Please report request {}.", REQUEST_ID.get());
    (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

fn with_layers(routes: Router) -> Router {
    routes
        .layer(CatchPanicLayer::custom(apologize))
        .layer(TraceLayer::new_for_http()) // logs the 500 as a failure
        .layer(ContextLayer::new().set(&REQUEST_ID, |_| Uuid::new_v4()))
}

// Test

use contextvar::tracing::ContextFormat;

use super::support::{ask_both, in_own_process, in_pairs, serve};

fn init() {
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
}

#[test]
fn the_answer_and_the_lines_have_the_id_of_the_request() {
    let test = "servers::catch_panic::the_answer_and_the_lines_have_the_id_of_the_request";
    let output = in_own_process(test, async || {
        init();
        let address = serve(with_layers(in_pairs(|| panic!("on purpose: {}", REQUEST_ID.get())))).await;
        for answer in ask_both(address, ["accept: */*"; 2]).await {
            assert_eq!(answer.status, "500");
            println!("the answer: {}", answer.body);
        }
    });
    if let Some(output) = output {
        let mut ids: Vec<&str> = output
            .lines("the answer: ")
            .iter()
            .map(|line| line.split_once("report request ").unwrap().1.trim_end_matches('.'))
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 2);
        for id in ids {
            for line in ["the handler panicked", "response failed"] {
                let lines = output.lines(line);
                assert_eq!(lines.len(), 2);
                let is_of_request = |line: &&&str| line.ends_with(&format!(" request_id={id}"));
                assert_eq!(lines.iter().filter(is_of_request).count(), 1, "{lines:#?}");
            }
            assert!(output.stderr.contains(&format!("on purpose: {id}")));
        }
    }
}

#[test]
fn in_the_other_order_there_is_no_answer() {
    let test = "servers::catch_panic::in_the_other_order_there_is_no_answer";
    let output = in_own_process(test, async || {
        init();
        let app = in_pairs(|| panic!("on purpose"))
            .layer(ContextLayer::new().set(&REQUEST_ID, |_| Uuid::new_v4()))
            .layer(TraceLayer::new_for_http())
            .layer(CatchPanicLayer::custom(apologize));
        for answer in ask_both(serve(app).await, ["accept: */*"; 2]).await {
            assert_eq!((&*answer.status, &*answer.body), ("", ""));
        }
    });
    if let Some(output) = output {
        let lines = output.lines("the handler panicked");
        assert!(lines.len() == 2 && lines.iter().all(|line| line.ends_with("panicked")), "{lines:#?}");
        assert_eq!(output.lines("response failed"), [""; 0]);
        assert_eq!(output.stderr.matches("context variable `request_id`").count(), 2, "{}", output.stderr);
    }
}

#[test]
fn the_default_answer_is_logged_with_the_id() {
    let test = "servers::catch_panic::the_default_answer_is_logged_with_the_id";
    let output = in_own_process(test, async || {
        init();
        let context = ContextLayer::new().set(&REQUEST_ID, |_| Uuid::nil());
        let app = in_pairs(|| panic!("on purpose")).layer(CatchPanicLayer::new()).layer(context);
        ask_both(serve(app).await, ["accept: */*"; 2]).await;
    });
    if let Some(output) = output {
        let lines = output.lines("Service panicked: on purpose");
        let id = format!(" request_id={}", Uuid::nil());
        assert!(lines.len() == 2 && lines.iter().all(|line| line.ends_with(&id)), "{lines:#?}");
    }
}
