//! The log lines of one request, in a test.

// Recipe

use std::io::{self, Write};
use std::sync::{Mutex, Once};

use contextvar::tracing::ContextFormat;

/// The log of the process. A test selects the lines of its own requests.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Writer;

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn init() {
    static ONCE: Once = Once::new();
    let lines = || tracing_subscriber::fmt().with_writer(|| Writer).with_ansi(false);
    ONCE.call_once(|| lines().map_event_format(ContextFormat::new).init());
}

fn lines_with(field: &str) -> Vec<String> {
    let log = String::from_utf8(LOG.lock().unwrap().clone()).unwrap();
    log.lines().filter(|line| line.split(' ').any(|part| part == field)).map(str::to_owned).collect()
}

// Test

use axum::Router;
use axum::routing::get;
use contextvar::{context_var, task, tower::ContextLayer};
use tracing::info;

use super::support::{ask, in_own_process, serve};

#[context_var(name = "request_id", log)]
static REQUEST_ID: u64;

async fn handler() {
    info!("handler");
    task::spawn_blocking(|| info!("call")).await.unwrap();
    task::spawn(async { info!("task") }).await.unwrap();
}

#[test]
fn the_log_has_the_lines_of_each_request() {
    in_own_process("servers::log_lines::the_log_has_the_lines_of_each_request", || async {
        init();
        let id = |request: &axum::http::request::Parts| request.uri.path()[1..].parse().unwrap();
        let app = Router::new().route("/{id}", get(handler)).layer(ContextLayer::new().set(&REQUEST_ID, id));
        let address = serve(app).await;
        tokio::join!(ask(address, "/7", "x: y"), ask(address, "/77", "x: y"));
        for id in [7, 77] {
            let lines = lines_with(&format!("request_id={id}"));
            assert_eq!(lines.len(), 3, "{lines:?}");
            for (line, place) in lines.iter().zip(["handler", "call", "task"]) {
                assert!(line.ends_with(&format!(" {place} request_id={id}")), "{line}");
            }
        }
    });
}
