//! tracing-bunyan-formatter.

// Recipe

use contextvar::tracing::{ContextWriter, SpanContextLayer};
use tracing_bunyan_formatter::{BunyanFormattingLayer, JsonStorageLayer};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn init(output: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) {
    let lines = BunyanFormattingLayer::new("shop".to_owned(), ContextWriter::new(output));
    // Around the layer, for its lines about spans that are closed.
    let lines = SpanContextLayer::around(lines);
    tracing_subscriber::registry().with(JsonStorageLayer).with(lines).init();
}

// Test

use serde_json::Value;
use tracing::{Instrument, info, info_span};

use crate::support::{
    Output, REQUEST_ID, assert_json_lines, assert_lines, context, in_own_process, run_requests,
    run_requests_in,
};

#[test]
fn a_line_has_the_variables() {
    in_own_process("bunyan::a_line_has_the_variables", || {
        let output = Output::default();
        init(output.clone());
        run_requests(2, |message| info!("{message}"));
        assert_json_lines(&output.take(), 2, "/msg", "");
    });
}

#[test]
fn a_line_has_the_variables_and_the_fields_of_its_span() {
    in_own_process("bunyan::a_line_has_the_variables_and_the_fields_of_its_span", || {
        let output = Output::default();
        init(output.clone());
        let log = |message: std::fmt::Arguments<'_>| info!("{message}");
        run_requests_in(2, log, |request| {
            Box::pin(request.instrument(info_span!("request", request_id = 9)))
        });
        let (mut start, mut end, mut messages) = (Vec::new(), Vec::new(), Vec::new());
        for line in output.take().lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            let message = value["msg"].as_str().unwrap();
            match message.strip_prefix("[REQUEST - ") {
                None => messages.push(message.to_owned()),
                Some(rest) => {
                    // The span's field keeps its name.
                    assert_eq!(value["request_id"], 9);
                    let n = value["request_id_2"].as_u64().unwrap();
                    assert_eq!(value["tenant"], format!("tenant {n}"));
                    assert_eq!(line.matches("\"request_id\":").count(), 1);
                    match rest {
                        "START]" => start.push(n),
                        "END]" => end.push(n),
                        rest => {
                            let message = rest.strip_prefix("EVENT] ").unwrap();
                            assert!(message.starts_with(&format!("{n} ")), "{line}");
                            messages.push(message.to_owned());
                        }
                    }
                }
            }
        }
        start.sort_unstable();
        end.sort_unstable();
        assert_eq!((start, end), (vec![1, 2], vec![1, 2]));
        assert_lines(&messages.join("\n"), 2, |message, _| message.to_owned());
    });
}

/// Without the layer around it, the line of a closed span has no variables.
#[test]
fn a_span_closed_in_another_request_has_its_own_variables() {
    let close_line = |subscriber: &dyn Fn(ContextWriter<Output>) -> tracing::Dispatch| {
        let output = Output::default();
        let subscriber = subscriber(ContextWriter::new(output.clone()));
        tracing::dispatcher::with_default(&subscriber, || {
            let span = context(1).run(|| info_span!("request"));
            context(2).run(|| drop(span));
        });
        let line: Value = serde_json::from_str(output.take().lines().last().unwrap()).unwrap();
        assert_eq!(line["msg"], "[REQUEST - END]");
        line["request_id"].as_u64()
    };
    let registry = || tracing_subscriber::registry().with(JsonStorageLayer);
    let lines = |writer| BunyanFormattingLayer::new("shop".to_owned(), writer);
    assert_eq!(
        close_line(&|writer| registry().with(SpanContextLayer::around(lines(writer))).into()),
        Some(1)
    );
    assert_eq!(close_line(&|writer| registry().with(lines(writer)).into()), None);
}

/// A variable never replaces a key of the format.
#[test]
fn a_key_of_the_format_is_kept() {
    use contextvar::ContextVar;

    static LEVEL: ContextVar<&str> = ContextVar::new("level").log();

    let output = Output::default();
    let lines = BunyanFormattingLayer::new("shop".to_owned(), ContextWriter::new(output.clone()));
    let subscriber = tracing_subscriber::registry().with(JsonStorageLayer).with(lines);
    tracing::subscriber::with_default(subscriber, || {
        REQUEST_ID.sync_scope(7, || LEVEL.sync_scope("gold", || info!("hello")));
    });
    let line: Value = serde_json::from_str(&output.take()).unwrap();
    assert_eq!((&line["level"], &line["level_2"]), (&30.into(), &"gold".into()));
}
