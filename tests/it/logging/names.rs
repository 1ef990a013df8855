//! Names that occur twice.

use std::collections::{BTreeMap, BTreeSet};

use contextvar::tracing::ContextFormat;
use contextvar::{Context, context_var, for_each_log_field};
use tracing::info;

use super::{Output, logged, logged_as_json};

/// Returns the fields whose names start with `prefix`.
fn fields(prefix: &str) -> BTreeMap<&'static str, String> {
    let mut fields = BTreeMap::new();
    for_each_log_field(|name, value| {
        if name.starts_with(prefix) {
            assert_eq!(fields.insert(name, value.to_string()), None, "{name} occurs twice");
        }
    });
    fields
}

#[test]
fn variables_of_one_name_are_numbered() {
    mod a {
        #[contextvar::context_var(log, name = "same")]
        pub(super) static USER: &str;
    }
    mod b {
        #[contextvar::context_var(log, name = "same")]
        pub(super) static USER: &str;
    }
    mod c {
        #[contextvar::context_var(log, name = "same")]
        pub(super) static USER: &str;
    }
    #[context_var(log, name = "same_3")]
    static THIRD: u8;

    Context::new().run(|| {
        a::USER.set("ada");
        THIRD.set(3);
        b::USER.set("grace");
        c::USER.set("joan");
        // Never the name of another variable.
        let expected = [("same", "ada"), ("same_2", "grace"), ("same_3", "3"), ("same_4", "joan")];
        assert_eq!(fields("same"), expected.map(|(name, value)| (name, value.to_owned())).into());
        // A name that occurs once in a line needs no number.
        Context::new().run(|| {
            b::USER.set("grace");
            assert_eq!(fields("same"), [("same", "grace".to_owned())].into());
        });
        // The event has the name as well, and one of those that the variables have got.
        let lines = logged_as_json(|| info!(same = 1, same_4 = 2, "hello"));
        let fields = lines[0]["fields"].as_object().unwrap();
        let values: BTreeSet<_> = fields.values().map(ToString::to_string).collect();
        assert_eq!(
            values,
            ["1", "2", "3", "\"ada\"", "\"grace\"", "\"joan\"", "\"hello\""].map(String::from).into()
        );
    });
}

/// Counts how often a key occurs in the text of a JSON object.
fn count_keys(line: &str, key: &str) -> usize {
    line.matches(&format!("\"{key}\":")).count()
}

#[test]
fn names_of_the_event_and_of_the_format_occur_once() {
    #[context_var(log, name = "level")]
    static LEVEL: &str;
    #[context_var(log, name = "target")]
    static TARGET: &str;
    #[context_var(log, name = "message")]
    static MESSAGE: &str;
    #[context_var(log, name = "span")]
    static SPAN: &str;
    #[context_var(log, name = "timestamp")]
    static TIMESTAMP: u64;
    #[context_var(log, name = "twice")]
    static TWICE: u64;
    // The name that `TWICE` would get.
    #[context_var(log, name = "twice_2")]
    static TWICE_2: u64;

    let log = || {
        Context::new().run(|| {
            LEVEL.set("gold");
            TARGET.set("moon");
            MESSAGE.set("in a bottle");
            SPAN.set("of time");
            TIMESTAMP.set(1);
            TWICE.set(2);
            TWICE_2.set(3);
            let _span = tracing::info_span!("outer", twice = 9).entered();
            info!(twice = 1, "hello");
        });
    };
    for flattened in [false, true] {
        let output = Output::default();
        let subscriber = tracing_subscriber::fmt().json().flatten_event(flattened);
        let subscriber = subscriber.with_writer(output.clone()).map_event_format(ContextFormat::new);
        tracing::subscriber::with_default(subscriber.finish(), log);
        let text = output.take();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let fields = if flattened { &line } else { &line["fields"] };
        assert_eq!((&line["level"], &line["target"]), (&"INFO".into(), &"it::logging::names".into()));
        assert_eq!((&fields["message"], &fields["twice"]), (&"hello".into(), &1.into()));
        let renamed = ["level_2", "target_2", "message_2", "span_2", "timestamp_2", "twice_3", "twice_2"];
        let values = renamed.map(|name| fields[name].clone());
        let expected = serde_json::json!(["gold", "moon", "in a bottle", "of time", 1, 2, 3]);
        assert_eq!(serde_json::Value::from_iter(values), expected, "{text}");
        for key in ["level", "target", "message", "span", "timestamp", "twice_2", "twice_3", "level_2"] {
            assert_eq!(count_keys(&text, key), 1, "{key} in {text}");
        }
    }
    // Text shows the level and the target without names.
    let text = logged(log);
    for field in [" level=gold ", " target=moon ", " message_2=\"in a bottle\" ", " twice=1 ", " twice_3=2 "]
    {
        assert!(format!("{} ", text.trim_end()).contains(field), "{field} in {text}");
    }
}
