//! `ContextFormat` around the JSON format.

use contextvar::tracing::ContextFormat;
use tracing::{error, info, info_span};

use super::{Output, REQUEST_ID, SHAPE, Shape, TENANT, acme, logged_as_json};

#[test]
fn json_lines() {
    let lines = logged_as_json(|| {
        acme().run(|| {
            info!(n = 1, "\"fields\":{{ is not where they are");
            SHAPE.set(Shape { sides: 4 });
            info_span!("fields", a = 1).in_scope(|| error!(request_id = 8));
            info!(empty = tracing::field::Empty);
        });
        info!("outside");
        info!(empty = tracing::field::Empty);
    });
    assert_eq!(
        lines[0]["fields"],
        serde_json::json!({
            "message": "\"fields\":{ is not where they are", "n": 1, "request_id": 7, "TENANT": "acme"
        })
    );
    assert_eq!((&lines[0]["level"], &lines[0]["target"]), (&"INFO".into(), &"it::logging::json".into()));
    assert_eq!(
        lines[1]["fields"],
        serde_json::json!({
            "request_id": 8, "request_id_2": 7, "TENANT": "acme", "SHAPE": "Shape { sides: 4 }"
        })
    );
    assert_eq!(lines[2]["fields"].as_object().unwrap().len(), 3);
    assert_eq!(lines[3]["fields"], serde_json::json!({"message": "outside"}));
    assert_eq!(lines[4]["fields"], serde_json::json!({}));
}

#[test]
fn text_that_looks_like_json_is_left_alone() {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_level(false).with_target(false);
    let subscriber = subscriber.without_time().with_writer(output.clone());
    let subscriber = subscriber.map_event_format(ContextFormat::new).finish();
    tracing::subscriber::with_default(subscriber, || REQUEST_ID.sync_scope(7, || info!("{{\"a\":1}}")));
    assert_eq!(output.take(), "{\"a\":1} request_id=7\n");
}

#[test]
fn control_characters_are_escaped() {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(output.clone());
    tracing::subscriber::with_default(subscriber.map_event_format(ContextFormat::new).finish(), || {
        TENANT.sync_scope("é\u{1b}\u{85}\n\"".to_owned(), || info!("hello"));
    });
    let output = output.take();
    assert!(output.contains(r#""TENANT":"é\u001b\u0085\u000a\""#), "{output}");
}

#[test]
fn flattened_json_lines() {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(output.clone());
    let subscriber = subscriber.map_event_format(ContextFormat::new).finish();
    tracing::subscriber::with_default(subscriber, || acme().run(|| info!(n = 1, "hello")));
    let line: serde_json::Value = serde_json::from_str(&output.take()).unwrap();
    assert_eq!((&line["request_id"], &line["message"]), (&7.into(), &"hello".into()));
}
