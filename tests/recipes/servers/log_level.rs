//! A log level for one request.

// Recipe

use axum::Router;
use contextvar::{context_var, tower::ContextLayer, tracing::ContextFormat};
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::{fmt, prelude::*};

#[context_var(report = false)] // code outside of requests logs as well
static LEVEL: LevelFilter = LevelFilter::INFO;

fn init() {
    let lines = fmt::layer().map_event_format(ContextFormat::new);
    let of_request = dynamic_filter_fn(|metadata, _| *metadata.level() <= LEVEL.get());
    tracing_subscriber::registry().with(lines.with_filter(of_request)).init();
}

fn with_level(routes: Router) -> Router {
    let context = ContextLayer::new()
        .set_if_some(&LEVEL, |request| request.headers.get("x-log-level")?.to_str().ok()?.parse().ok());
    routes.layer(context)
}

// Test

use axum::http::request::Parts;
use axum::routing::get;
use contextvar::task;
use tracing::{debug, info};
use tracing_subscriber::filter::filter_fn;

use super::support::{ask, ask_both, in_own_process, in_pairs, serve};

#[context_var(name = "n", log)]
static N: String;

/// Logs from the same places in all requests, and outside of them.
fn log() -> String {
    info!("info");
    debug!("debug");
    String::new()
}

fn app() -> Router {
    let set_n = |request: &Parts| Some(request.headers.get("x-log-level")?.to_str().ok()?.to_owned());
    let in_task = async || task::spawn(async { log() }).await.unwrap();
    let routes = in_pairs(log).route("/task", get(in_task));
    with_level(routes.layer(ContextLayer::new().set_if_some(&N, set_n)))
}

#[test]
fn each_request_logs_at_its_level() {
    let output = in_own_process("servers::log_level::each_request_logs_at_its_level", async || {
        init();
        log();
        let address = serve(app()).await;
        let [debug, info] = ["x-log-level: debug", "x-log-level: info"];
        for headers in [[info, debug], [debug, "x-log-level: error"], [info, "x-log-level: nonsense"]] {
            ask_both(address, headers).await;
        }
        ask(address, "/task", "x-log-level: DEBUG").await;
        log();
    });
    if let Some(output) = output {
        let count = |line: &str| output.lines("log_level").iter().filter(|l| l.ends_with(line)).count();
        assert_eq!((count(" info"), count(" debug")), (2, 0), "outside");
        assert_eq!((count(" info n=info"), count(" debug n=info")), (2, 0));
        assert_eq!((count(" info n=debug"), count(" debug n=debug")), (2, 2));
        assert_eq!((count(" info n=error"), count(" debug n=error")), (0, 0));
        assert_eq!((count(" info n=nonsense"), count(" debug n=nonsense")), (1, 0));
        assert_eq!((count(" info n=DEBUG"), count(" debug n=DEBUG")), (1, 1), "in a task");
    }
}

#[test]
fn a_filter_that_is_not_dynamic_keeps_its_first_answer() {
    let test = "servers::log_level::a_filter_that_is_not_dynamic_keeps_its_first_answer";
    let output = in_own_process(test, async || {
        let lines = fmt::layer().map_event_format(ContextFormat::new);
        let filter = filter_fn(|metadata| *metadata.level() <= LEVEL.get());
        tracing_subscriber::registry().with(lines.with_filter(filter)).init();
        let address = serve(app()).await;
        ask(address, "/task", "x-log-level: debug").await;
        ask(address, "/task", "x-log-level: info").await;
    });
    if let Some(output) = output {
        let lines = output.lines("log_level: debug");
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].ends_with("debug n=info"), "{lines:?}");
    }
}
