//! User code that calls back into the library from `Drop`, `Clone`, `Debug` and closures (rule 10).

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contextvar::{Context, context_var, copy_context};

use crate::support::{Log, OnDrop, panic_text};

#[context_var]
static OTHER: String = "default".to_owned();

/// Calls every operation of the library.
pub(crate) fn use_everything() {
    let before = OTHER.get();
    let token = OTHER.set(format!("{before}+"));
    let mut copy = copy_context();
    assert_eq!(copy.clone().len(), copy.len());
    copy.run(|| drop(OTHER.set("copy".to_owned())));
    copy.unset(&VALUE);
    assert!(!format!("{copy:?}").is_empty());
    assert_eq!(OTHER.with(|other| other.len()), before.len() + 1);
    OTHER.sync_scope("scoped".to_owned(), || OTHER.reset(OTHER.set("inner".to_owned())));
    OTHER.reset(token);
    assert_eq!(OTHER.get(), before);
}

/// Calls back from `Drop`, `Clone` and `Debug`.
struct CallsBack(Log);

impl Drop for CallsBack {
    fn drop(&mut self) {
        use_everything();
        VALUE.set(None);
        self.0.push("dropped");
    }
}

impl Clone for CallsBack {
    fn clone(&self) -> Self {
        use_everything();
        VALUE.set(None);
        use_everything();
        self.0.push("cloned");
        CallsBack(self.0.clone())
    }
}

impl fmt::Debug for CallsBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use_everything();
        self.0.push("shown");
        f.write_str("CallsBack")
    }
}

#[context_var]
static VALUE: Option<CallsBack>;

#[test]
fn drop_calls_back_in_set() {
    let log = Log::default();
    VALUE.set(Some(CallsBack(log.clone())));
    VALUE.set(None);
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn drop_calls_back_in_reset() {
    let log = Log::default();
    let token = VALUE.set(Some(CallsBack(log.clone())));
    VALUE.reset(token);
    assert_eq!(log.take(), ["dropped"]);
    // The reset came first, then the `set` in `Drop`.
    assert!(VALUE.with(Option::is_none));
}

#[test]
fn drop_calls_back_when_the_last_copy_is_dropped() {
    let log = Log::default();
    VALUE.set(Some(CallsBack(log.clone())));
    let copy = copy_context();
    VALUE.set(None);
    assert!(log.take().is_empty());
    drop(copy);
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn drop_calls_back_in_context_operations() {
    let log = Log::default();
    let mut ctx = Context::new().with_value(&VALUE, Some(CallsBack(log.clone())));
    ctx.set(&VALUE, Some(CallsBack(log.clone())));
    assert_eq!(log.take(), ["dropped"]);
    assert!(ctx.unset(&VALUE));
    assert_eq!(log.take(), ["dropped"]);
    ctx.set(&VALUE, Some(CallsBack(log.clone())));
    ctx.run(|| VALUE.set(None));
    assert_eq!(log.take(), ["dropped"]);
    drop(ctx.with_value(&VALUE, Some(CallsBack(log.clone()))));
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn clone_calls_back() {
    let log = Log::default();
    VALUE.set(Some(CallsBack(log.clone())));
    // `clone` replaces the value that is being cloned.
    let clone = VALUE.get();
    assert!(VALUE.with(Option::is_none));
    assert_eq!(log.take(), ["cloned", "dropped"]);
    drop(clone);
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn debug_calls_back() {
    let log = Log::default();
    let ctx = Context::new().with_value(&VALUE, Some(CallsBack(log.clone())));
    assert_eq!(format!("{ctx:?}"), "Context { VALUE: Some(CallsBack) }");
    assert_eq!(log.take(), ["shown"]);
}

#[test]
fn a_value_being_read_stays_alive_and_unchanged() {
    #[context_var]
    static TEXT: String;

    TEXT.set("one".to_owned());
    TEXT.with(|outer| {
        TEXT.with(|same| {
            TEXT.set("two".to_owned());
            TEXT.with(|inner| {
                TEXT.set("three".to_owned());
                TEXT.set("four".to_owned());
                assert_eq!(inner, "two");
            });
            assert_eq!(same, "one");
        });
        use_everything();
        assert_eq!(outer, "one");
        assert_eq!(TEXT.get(), "four");
    });
    // In a context that is entered during the read.
    TEXT.with(|outer| {
        let mut copy = copy_context();
        copy.run(|| {
            TEXT.set("five".to_owned());
            TEXT.with(|inner| {
                TEXT.set("six".to_owned());
                assert_eq!((&**outer, &**inner), ("four", "five"));
            });
        });
        TEXT.reset(TEXT.set("seven".to_owned()));
        drop(copy);
        assert_eq!(outer, "four");
    });
}

/// A write to a context entered during the read is not a write to the context being read.
#[test]
fn a_write_in_an_inner_context_does_not_affect_an_active_read() {
    #[context_var]
    static HELD: OnDrop<Box<dyn FnMut() + Send + Sync>>;

    let log = Log::default();
    let held = |name: &'static str| {
        let log = log.clone();
        OnDrop(Box::new(move || log.push(name)) as Box<dyn FnMut() + Send + Sync>)
    };
    HELD.set(held("first"));
    HELD.with(|_| {
        let mut inner = Context::new();
        inner.run(|| HELD.set(held("inner")));
        drop(HELD.set(held("second")));
        inner.run(|| drop(HELD.set(held("inner again"))));
        assert_eq!(log.take(), ["inner"]);
    });
    assert_eq!(log.take(), ["inner again", "first"]);
    drop(HELD.set(held("third")));
    assert_eq!(log.take(), ["second"]);
}

#[test]
fn an_inner_read_releases_replaced_values_at_its_end() {
    #[context_var]
    static OUTER: Arc<u64>;
    #[context_var]
    static INNER: Arc<u64>;

    let (outer, inner) = (Arc::new(1), Arc::new(2));
    OUTER.set(outer.clone());
    OUTER.with(|_| {
        Context::new().run(|| {
            INNER.set(inner.clone());
            INNER.with(|_| INNER.set(Arc::new(3)));
        });
        assert_eq!(Arc::strong_count(&inner), 1);
        OUTER.set(Arc::new(4));
        assert_eq!(Arc::strong_count(&outer), 2);
    });
    assert_eq!(Arc::strong_count(&outer), 1);
}

#[test]
fn a_value_replaced_during_a_read_is_dropped_after_it() {
    let log = Log::default();
    #[context_var]
    static HELD: OnDrop<Box<dyn FnMut() + Send + Sync>>;

    let held = |name: &'static str| {
        let log = log.clone();
        OnDrop(Box::new(move || log.push(name)) as Box<dyn FnMut() + Send + Sync>)
    };
    HELD.set(held("first"));
    HELD.with(|_| {
        HELD.with(|_| drop(HELD.set(held("second"))));
        HELD.set(held("third"));
        assert_eq!(log.take(), ["second"]);
    });
    assert_eq!(log.take(), ["first"]);
    let text = panic_text(|| {
        HELD.with(|_| {
            HELD.set(held("fourth"));
            log.push("end");
            panic!("on purpose");
        })
    });
    assert_eq!(text, "on purpose");
    assert_eq!(log.take(), ["end", "third"]);
}

#[test]
fn a_long_read_with_many_writes_keeps_no_other_value_alive() {
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 1000 };
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    #[context_var]
    static COUNTED: OnDrop<fn()>;

    fn counted() -> OnDrop<fn()> {
        ALIVE.fetch_add(1, Ordering::SeqCst);
        OnDrop(|| {
            ALIVE.fetch_sub(1, Ordering::SeqCst);
        })
    }
    COUNTED.set(counted());
    COUNTED.with(|_| {
        for _ in 0..ROUNDS {
            COUNTED.set(counted());
            COUNTED.with(|_| COUNTED.set(counted()));
            // The value being read and the latest one.
            assert_eq!(ALIVE.load(Ordering::SeqCst), 2);
        }
    });
    assert_eq!(ALIVE.load(Ordering::SeqCst), 1);
}

/// A context can be a value of a context.
#[test]
fn contexts_as_values_of_contexts() {
    const COUNT: usize = if cfg!(miri) { 10 } else { 100 };

    #[context_var]
    static INNER: Context;

    INNER.set(copy_context());
    for _ in 0..COUNT {
        INNER.set(copy_context());
    }
    let mut depth = 0;
    let mut ctx = copy_context();
    while let Some(inner) = ctx.get(&INNER).cloned() {
        depth += 1;
        ctx = inner;
    }
    assert_eq!(depth, COUNT + 1);
}

/// A replaced value is dropped with the context current.
#[test]
fn drop_of_a_replaced_value_sees_the_context() {
    #[context_var]
    static NUMBER: u64;
    #[context_var]
    static REPORTS: OnDrop<Box<dyn FnMut() + Send + Sync>>;

    let log = Log::default();
    let note = log.clone();
    let mut ctx = Context::new().with_value(&NUMBER, 1);
    ctx.run(|| {
        REPORTS.set(OnDrop(Box::new(move || note.push(NUMBER.get()))));
        REPORTS.set(OnDrop(Box::new(|| ())));
    });
    assert_eq!(log.take(), ["1"]);
}
