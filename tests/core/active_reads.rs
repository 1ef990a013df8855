//! Writes to a variable during an active read. Miri reports a value that is freed while an argument still
//! refers to it.

use std::sync::Arc;

use contextvar::{Context, ContextVar, context_var, copy_context};

use crate::support::panic_text;

#[context_var]
static TEXT: String;

fn text(n: u32) -> String {
    format!("text number {n}")
}

#[test]
fn set_inside_with() {
    TEXT.set(text(1));
    TEXT.with(|text_1| {
        TEXT.set(text(2));
        assert_eq!(*text_1, text(1));
    });
    assert_eq!(TEXT.get(), text(2));
}

#[test]
fn reset_inside_with() {
    let token = TEXT.set(text(1));
    TEXT.with(|text_1| {
        TEXT.reset(token);
        assert_eq!(*text_1, text(1));
    });
    assert!(!TEXT.is_set());
}

#[test]
fn set_inside_clone() {
    #[derive(Debug, PartialEq)]
    struct SetsInClone(String);

    impl Clone for SetsInClone {
        fn clone(&self) -> Self {
            VALUE.set(SetsInClone(text(2)));
            SetsInClone(self.0.clone())
        }
    }

    #[context_var]
    static VALUE: SetsInClone;

    VALUE.set(SetsInClone(text(1)));
    assert_eq!(VALUE.get(), SetsInClone(text(1)));
    assert_eq!(VALUE.get_or(SetsInClone(text(3))), SetsInClone(text(2)));
    assert_eq!(VALUE.try_get(), Ok(SetsInClone(text(2))));
}

#[test]
fn apply_changes_inside_with() {
    TEXT.set(text(1));
    let base = copy_context();
    let changed = base.clone().with_value(&TEXT, text(2));
    drop(base);
    TEXT.with(|text_1| {
        changed.apply_changes_to_current(&Context::new());
        assert_eq!(*text_1, text(1));
    });
    assert_eq!(TEXT.get(), text(2));
}

/// The changes come from a context that is itself a value of the current context, and they replace it.
#[test]
fn apply_changes_from_a_context_they_replace() {
    static CHANGES: ContextVar<Context> = ContextVar::new("changes");

    let replacement = Context::new();
    CHANGES.set(Context::new().with_value(&TEXT, text(1)).with_value(&CHANGES, replacement));
    CHANGES.with(|changes| {
        changes.apply_changes_to_current(&Context::new());
        assert_eq!(changes.len(), 2);
    });
    assert_eq!((TEXT.get(), CHANGES.with(Context::len)), (text(1), 0));
}

#[test]
fn set_then_panic_inside_with() {
    TEXT.set(text(1));
    let message = panic_text(|| {
        TEXT.with(|text_1| {
            TEXT.set(text(2));
            assert_eq!(*text_1, text(2));
        });
    });
    assert!(message.contains("text number 1"), "{message}");
    assert_eq!(TEXT.get(), text(2));
}

#[test]
fn set_inside_nested_with_and_run() {
    TEXT.set(text(1));
    TEXT.with(|text_1| {
        TEXT.set(text(2));
        TEXT.with(|text_2| {
            copy_context().run(|| {
                TEXT.set(text(3));
                TEXT.with(|text_3| {
                    TEXT.set(text(4));
                    assert_eq!((text_1, text_2, text_3), (&text(1), &text(2), &text(3)));
                });
            });
            TEXT.set(text(5));
            assert_eq!((text_1, text_2), (&text(1), &text(2)));
        });
        assert_eq!(*text_1, text(1));
    });
    assert_eq!(TEXT.get(), text(5));
}

/// The reference passed to `f` is also an argument of a function that `f` calls.
#[test]
fn set_inside_a_function_given_the_value() {
    fn replace(old: &mut Option<&Arc<String>>, new: String) -> usize {
        SHARED.set(Arc::new(new));
        old.take().map_or(0, |old| old.len())
    }

    #[context_var]
    static SHARED: Arc<String>;

    SHARED.set(Arc::new(text(1)));
    assert_eq!(SHARED.with(|shared| replace(&mut Some(shared), text(20))), text(1).len());
    assert_eq!(*SHARED.get(), text(20));
}

#[test]
fn set_inside_for_each_log_field() {
    #[context_var(log)]
    static FIRST: String;
    #[context_var(log)]
    static SECOND: String;

    FIRST.set(text(1));
    SECOND.set(text(2));
    let mut shown = Vec::new();
    contextvar::for_each_log_field(|name, value| {
        FIRST.set(text(3));
        SECOND.set(text(4));
        shown.push(format!("{name}={value}"));
    });
    assert_eq!(shown, ["FIRST=text number 1", "SECOND=text number 2"]);
    assert_eq!((FIRST.get(), SECOND.get()), (text(3), text(4)));
}

#[test]
fn set_while_iterating_a_context() {
    TEXT.set(text(1));
    let mut ctx = copy_context();
    ctx.run(|| {
        let copy = copy_context();
        for entry in &copy {
            TEXT.set(text(2));
            assert_eq!(entry.downcast_ref::<String>(), Some(&text(1)));
        }
    });
    assert_eq!(ctx[&TEXT], text(2));
}
