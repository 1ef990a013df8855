//! tower-http's `TraceLayer` inside of the `ContextLayer`.

// Recipe

use axum::{Router, extract::Request};
use contextvar::{context_var, tower::ContextLayer, tracing::ContextFormat};
use tower_http::trace::{DefaultOnResponse, TraceLayer};
use tracing::{Level, info_span};
use uuid::Uuid;

#[context_var(name = "request_id", log)]
static REQUEST_ID: Uuid;

fn init() {
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
}

fn with_layers(routes: Router) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(|request: &Request| info_span!("request", path = request.uri().path()))
        .on_response(DefaultOnResponse::new().level(Level::INFO));
    let context = ContextLayer::new().set(&REQUEST_ID, |_| Uuid::new_v4());
    routes.layer(trace).layer(context) // the context is outside
}

// Test

use tracing::info;

use super::support::{Output, ask_both, in_own_process, in_pairs, serve};

/// Returns the ids in the lines of two handlers, and in those about their responses.
fn ids(output: &Output) -> [Vec<Option<Uuid>>; 2] {
    let ids = |text| {
        let id = |line: &str| Some(line.split_once(" request_id=")?.1[..36].parse().unwrap());
        let mut ids: Vec<_> = output.lines(text).into_iter().map(id).collect();
        ids.sort_unstable();
        assert_eq!(ids.len(), 2);
        ids
    };
    [ids("in the handler"), ids("finished processing request")]
}

fn log() -> String {
    info!("in the handler");
    String::new()
}

#[test]
fn the_line_about_a_response_has_the_id_of_its_request() {
    let output = in_own_process(
        "servers::trace_layer::the_line_about_a_response_has_the_id_of_its_request",
        async || {
            init();
            let address = serve(with_layers(in_pairs(log))).await;
            ask_both(address, ["accept: */*"; 2]).await;
        },
    );
    if let Some(output) = output {
        let [handlers, responses] = ids(&output);
        assert_eq!(handlers, responses);
        assert!(handlers[0].is_some() && handlers[0] != handlers[1]);
        assert_eq!(output.lines("request{path=\"/\"}").len(), 4);
    }
}

#[test]
fn in_the_other_order_only_the_handler_has_the_id() {
    let output =
        in_own_process("servers::trace_layer::in_the_other_order_only_the_handler_has_the_id", async || {
            init();
            let context = ContextLayer::new().set(&REQUEST_ID, |_| Uuid::new_v4());
            let trace = TraceLayer::new_for_http().on_response(DefaultOnResponse::new().level(Level::INFO));
            let address = serve(in_pairs(log).layer(context).layer(trace)).await;
            ask_both(address, ["accept: */*"; 2]).await;
        });
    if let Some(output) = output {
        let [handlers, responses] = ids(&output);
        assert!(handlers.iter().all(Option::is_some));
        assert_eq!(responses, [None, None]);
    }
}
