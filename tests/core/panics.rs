//! User code that panics inside the library (rule 10).

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use contextvar::{Context, context_var};
use futures::FutureExt;

use crate::reentrancy::use_everything;
use crate::support::{OnDrop, panic_text};

#[test]
fn a_panicking_drop_leaves_everything_usable() {
    #[context_var]
    static BOMB: OnDrop<fn()>;

    fn bomb() -> OnDrop<fn()> {
        OnDrop(|| panic!("in drop"))
    }
    BOMB.set(bomb());
    assert_eq!(panic_text(|| BOMB.set(OnDrop(|| ()))), "in drop");
    use_everything();
    BOMB.with(|_| ());

    // In a reset, a guard, and the end of an active read.
    let token = BOMB.set(bomb());
    assert_eq!(panic_text(|| BOMB.reset(token)), "in drop");
    let guard = BOMB.set(bomb()).reset_on_drop();
    assert_eq!(panic_text(|| drop(guard)), "in drop");
    BOMB.set(bomb());
    assert_eq!(panic_text(|| BOMB.with(|_| drop(BOMB.set(OnDrop(|| ()))))), "in drop");
    use_everything();
}

#[test]
fn a_panicking_drop_leaks_no_returned_value() {
    #[derive(Clone)]
    struct Value(Option<&'static str>, #[expect(dead_code, reason = "only counted")] Arc<()>);
    impl Drop for Value {
        fn drop(&mut self) {
            if let Some(text) = self.0 {
                panic!("{text}");
            }
        }
    }
    #[context_var]
    static VALUE: Value;

    let counted = Arc::new(());
    let value = || Value(None, counted.clone());
    let bomb = || Value(Some("in drop"), Arc::new(()));
    VALUE.set(value());
    assert_eq!(panic_text(|| VALUE.get_or(bomb())), "in drop");
    assert_eq!(Arc::strong_count(&counted), 2);

    assert_eq!(panic_text(|| VALUE.sync_scope(bomb(), value)), "in drop");
    assert_eq!(Arc::strong_count(&counted), 2);

    let replaces = |_: &Value| {
        VALUE.set(value());
        value()
    };
    VALUE.set(bomb());
    assert_eq!(panic_text(|| VALUE.with(replaces)), "in drop");
    assert_eq!(Arc::strong_count(&counted), 2);

    // The same where a context is dropped.
    let armed = || Context::new().with_value(&VALUE, bomb());
    assert_eq!(panic_text(armed().bind(value)), "in drop");
    assert_eq!(panic_text(|| armed().scope(async { value() }).now_or_never()), "in drop");
    #[context_var(inherit = false)]
    static KEPT: Value;
    let kept = Context::new().with_value(&VALUE, value()).with_value(&KEPT, bomb());
    assert_eq!(panic_text(|| kept.inherited()), "in drop");
    assert_eq!(Arc::strong_count(&counted), 2);
}

#[test]
fn a_panicking_clone_changes_nothing() {
    #[derive(PartialEq, Debug)]
    struct NoClone(u8);
    impl Clone for NoClone {
        fn clone(&self) -> Self {
            panic!("in clone")
        }
    }
    #[context_var]
    static VALUE: NoClone;

    VALUE.set(NoClone(1));
    assert_eq!(panic_text(|| VALUE.get()), "in clone");
    assert_eq!(panic_text(|| VALUE.get_or(NoClone(2))), "in clone");
    VALUE.with(|value| assert_eq!(*value, NoClone(1)));
    VALUE.set(NoClone(3));
    VALUE.with(|value| assert_eq!(*value, NoClone(3)));
}

#[test]
fn a_panic_ends_an_active_read() {
    #[context_var]
    static TEXT: String;

    TEXT.set("one".to_owned());
    for _ in 0..3 {
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            TEXT.with(|_| {
                TEXT.set("two".to_owned());
                panic!("on purpose");
            })
        }));
        assert!(result.is_err());
        TEXT.set("three".to_owned());
        assert_eq!(TEXT.get(), "three");
    }
}
