//! Contexts as maps of text.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use contextvar::{Context, baggage, context_var, copy_context};
use proptest::prelude::*;

use super::{DEADLINE, incoming};

#[context_var(baggage = "stored.text")]
static TEXT: String = "default".to_owned();

#[context_var(baggage = "stored.number")]
static NUMBER: u64;

#[test]
fn declared_variables_that_are_set_are_stored_with_their_codecs() {
    #[context_var]
    static UNDECLARED: String;

    assert_eq!(baggage::store(&Context::new()), BTreeMap::new());
    let mut context = Context::new()
        .with_value(&TEXT, " a,b;c=%20 \n".to_owned())
        .with_value(&DEADLINE, Duration::from_secs(2))
        .with_value(&UNDECLARED, "stays".to_owned());
    context.run(|| baggage::extract_headers(&incoming("session=s1")));
    let stored = baggage::store(&context);
    let expected = [("stored.text", " a,b;c=%20 \n"), ("test.deadline", "2000")];
    assert_eq!(stored, expected.map(|(key, text)| (key.to_owned(), text.to_owned())).into());

    let (restored, errors) = baggage::restore(&stored);
    assert_eq!((&restored[&TEXT], restored[&DEADLINE]), (&context[&TEXT], Duration::from_secs(2)));
    assert_eq!((restored.len(), errors), (2, vec![]));
}

#[test]
fn entries_that_cannot_be_restored_are_reported() {
    let entries = [
        ("stored.number", "seven"),
        ("unknown", "1"),
        ("stored.text", "x"),
        ("no key", "1"),
        ("stored.number", "7"),
        ("stored.number", "eight"),
        ("stored.text", "y"),
    ];
    let (context, errors) = baggage::restore(entries);
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    let expected = [
        "baggage entry `stored.number` was ignored: its text is not a value of the variable's type",
        "baggage entry `unknown` was ignored: no variable declares this key",
        "baggage entry `no key` was ignored: no variable declares this key",
        "baggage entry `stored.number` was ignored: its text is not a value of the variable's type",
    ];
    assert_eq!(errors, expected);
    assert_eq!((context[&NUMBER], context[&TEXT].as_str(), context.len()), (7, "y", 2));
}

#[test]
fn restore_leaves_the_current_context_alone() {
    NUMBER.sync_scope(1, || {
        let map = HashMap::from([("stored.number".to_owned(), "7".to_owned())]);
        let (context, errors) = baggage::restore(&map);
        assert_eq!((context[&NUMBER], NUMBER.get(), errors.len()), (7, 1, 0));
        assert_eq!(context.len(), 1);
        assert_eq!(copy_context().len(), 1);
    });
}

#[test]
fn a_context_is_restored_in_a_task_that_has_none() {
    super::on_both_flavors(|| async {
        let task = tokio::spawn(async {
            let (context, errors) = baggage::restore([("stored.number", "7")]);
            assert_eq!(errors, []);
            context.scope(async { NUMBER.get() }).await
        });
        assert_eq!(task.await.unwrap(), 7);
    });
}

proptest! {
    #[test]
    fn any_text_survives_the_store(text in any::<String>(), number in any::<u64>()) {
        let context = Context::new().with_value(&TEXT, text.clone()).with_value(&NUMBER, number);
        let json = serde_json::to_string(&baggage::store(&context)).unwrap();
        let entries: BTreeMap<String, String> = serde_json::from_str(&json).unwrap();
        let (restored, errors) = baggage::restore(entries);
        prop_assert_eq!((&restored[&TEXT], restored[&NUMBER], errors.len()), (&text, number, 0));
    }
}
