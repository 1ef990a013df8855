//! The request's variables in the messages of panics.

// Recipe

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use contextvar::{context_var, task, tower::ContextLayer};

#[context_var(name = "order", log)]
static ORDER: u64;

async fn ship() -> Result<&'static str, StatusCode> {
    let task = task::spawn(async { panic!("the printer has no paper") });
    task.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

fn init() {
    contextvar::set_panic_hook(); // once, after other hooks are set
}

fn app() -> Router {
    let context = ContextLayer::new()
        .set_if_some(&ORDER, |request| request.uri.path().strip_prefix("/ship/")?.parse().ok());
    Router::new().route("/ship/{order}", get(ship)).layer(context)
}

// Test

use super::support::{ask, in_own_process, serve};

fn lines(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.starts_with("context of the panic at ")).collect()
}

#[test]
fn the_message_has_the_variables_of_the_request_that_panics() {
    let test = "servers::panic_messages::the_message_has_the_variables_of_the_request_that_panics";
    let output = in_own_process(test, async || {
        init();
        let address = serve(app()).await;
        let header = "accept: */*";
        let answers = tokio::join!(ask(address, "/ship/7", header), ask(address, "/ship/8", header));
        assert_eq!((&*answers.0.status, &*answers.1.status), ("500", "500"));
    });
    if let Some(output) = output {
        let mut lines = lines(&output.stderr);
        lines.sort_unstable();
        assert!(lines[0].ends_with(": order=7") && lines[1].ends_with(": order=8"), "{}", output.stderr);
        assert_eq!(lines.len(), 2);
        assert_eq!(output.stderr.matches("the printer has no paper").count(), 2);
    }
}

#[test]
fn the_message_of_a_plain_task_has_none() {
    let test = "servers::panic_messages::the_message_of_a_plain_task_has_none";
    let output = in_own_process(test, async || {
        init();
        let plain = async || tokio::spawn(async { panic!("in a plain task") }).await.unwrap_or("panicked");
        let layer = ContextLayer::new().set(&ORDER, |_| 7);
        let address = serve(Router::new().route("/", get(plain)).layer(layer)).await;
        assert_eq!(ask(address, "/", "accept: */*").await.body, "panicked");
    });
    if let Some(output) = output {
        assert!(output.stderr.contains("in a plain task"), "{}", output.stderr);
        assert_eq!(lines(&output.stderr), [""; 0]);
    }
}
