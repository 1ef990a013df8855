//! The form in which an attribute has a value of each type.

use std::collections::BTreeMap;
use std::fmt;

use contextvar::{Context, ContextVar, context_var};
use opentelemetry::trace::{Span as _, Tracer};
use opentelemetry::{KeyValue, Value};

use super::{Spans, attributes, processor};

/// Variables of all types, declared in [`typed`].
pub(super) fn typed() -> Context {
    #[derive(Debug)]
    struct OnlyDebug;

    /// A `Display` that fails after some text.
    struct Broken;

    impl fmt::Display for Broken {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }

    #[derive(serde::Serialize)]
    struct Json {
        numbers: Vec<Option<u64>>,
        none: Option<u8>,
        ratio: f32,
        yes: bool,
        name: &'static str,
    }

    #[context_var(log, name = "shop.signed")]
    static SIGNED: i8;
    #[context_var(log, name = "shop.large")]
    static LARGE: u64;
    #[context_var(log, name = "shop.larger")]
    static LARGER: u128;
    #[context_var(log, name = "shop.lowest")]
    static LOWEST: i128;
    #[context_var(log, name = "shop.ratio")]
    static RATIO: f64;
    #[context_var(log, name = "shop.half")]
    static HALF: f32;
    #[context_var(log, name = "shop.yes")]
    static YES: bool;
    #[context_var(log, name = "shop.str")]
    static STR: &'static str;
    #[context_var(log, name = "shop.some")]
    static SOME: Option<u16>;
    #[context_var(log, name = "shop.none")]
    static NONE: Option<u16>;
    #[context_var(log, name = "shop.display")]
    static DISPLAY: std::net::Ipv4Addr;
    #[context_var(log, name = "shop.debug")]
    static DEBUG: OnlyDebug;
    #[context_var(log, name = "shop.broken")]
    static BROKEN: Broken;
    #[context_var(log = serde, name = "shop.json")]
    static JSON: Json;
    static SECRET: ContextVar<u64> = ContextVar::new("shop.secret").log().secret();

    let json = Json {
        numbers: vec![Some(1), None, Some(u64::MAX)],
        none: None,
        ratio: 0.5,
        yes: true,
        name: "a \"b\"",
    };
    Context::new()
        .with_value(&SIGNED, -1)
        .with_value(&LARGE, u64::MAX)
        .with_value(&LARGER, u128::MAX)
        .with_value(&LOWEST, i128::MIN)
        .with_value(&RATIO, 0.1)
        .with_value(&HALF, 0.5)
        .with_value(&YES, true)
        .with_value(&STR, "größe")
        .with_value(&SOME, Some(3))
        .with_value(&NONE, None)
        .with_value(&DISPLAY, std::net::Ipv4Addr::LOCALHOST)
        .with_value(&DEBUG, OnlyDebug)
        .with_value(&BROKEN, Broken)
        .with_value(&JSON, json)
        .with_value(&SECRET, 1)
}

/// The attributes of [`typed`], apart from the JSON.
pub(super) fn of_typed() -> BTreeMap<String, Value> {
    attributes([
        KeyValue::new("shop.signed", -1),
        KeyValue::new("shop.large", u64::MAX.to_string()),
        KeyValue::new("shop.larger", u128::MAX.to_string()),
        KeyValue::new("shop.lowest", i128::MIN.to_string()),
        KeyValue::new("shop.ratio", 0.1),
        KeyValue::new("shop.half", 0.5),
        KeyValue::new("shop.yes", true),
        KeyValue::new("shop.str", "größe"),
        KeyValue::new("shop.some", 3),
        KeyValue::new("shop.display", "127.0.0.1"),
        KeyValue::new("shop.debug", "OnlyDebug"),
        KeyValue::new("shop.broken", "half"),
    ])
}

#[test]
fn attributes_of_spans_keep_their_types() {
    let spans = Spans::new(processor());
    typed().run(|| spans.tracer.start("typed").end());
    let mut expected = of_typed();
    let json =
        r#"{"numbers":[1,null,18446744073709551615],"none":null,"ratio":0.5,"yes":true,"name":"a \"b\""}"#;
    expected.insert("shop.json".to_owned(), json.into());
    assert_eq!(spans.take_attributes(), expected);
}
