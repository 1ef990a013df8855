//! Contexts: copying, running, reading and writing them (rules 1, 2, 5, 12 and 13).

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use contextvar::{Context, ContextVar, context_var, copy_context, for_each_log_field};

use crate::support::{OnDrop, panic_text};

#[test]
fn a_copy_and_its_original_are_isolated() {
    #[context_var]
    static NUMBER: u64;
    #[context_var]
    static TEXT: String;

    NUMBER.set(1);
    TEXT.set("one".to_owned());
    let mut copy = copy_context();
    let clone = copy.clone();
    NUMBER.set(2);
    copy.run(|| {
        assert_eq!(NUMBER.get(), 1);
        NUMBER.set(3);
        TEXT.set("three".to_owned());
    });
    assert_eq!((NUMBER.get(), TEXT.get()), (2, "one".to_owned()));
    assert_eq!((copy[&NUMBER], &*copy[&TEXT]), (3, "three"));
    assert_eq!((clone[&NUMBER], &*clone[&TEXT]), (1, "one"));

    let mut second = clone.clone();
    second.unset(&TEXT);
    assert!(clone.contains(&TEXT) && !second.contains(&TEXT));
}

#[test]
fn a_read_finds_the_value_then_the_default_then_an_error() {
    #[context_var]
    static WITH_DEFAULT: String = "default".to_owned();
    #[context_var]
    static WITHOUT: String;

    assert_eq!(WITH_DEFAULT.get(), "default");
    assert_eq!(WITH_DEFAULT.get_or("given".to_owned()), "given");
    assert!(!WITH_DEFAULT.is_set());
    assert_eq!(WITHOUT.try_with(String::len).unwrap_err(), WITHOUT.try_get().unwrap_err());
    assert_eq!(WITHOUT.get_or("given".to_owned()), "given");

    WITH_DEFAULT.set("set".to_owned());
    assert_eq!(WITH_DEFAULT.get(), "set");
    assert_eq!(WITH_DEFAULT.get_or("given".to_owned()), "set");
    assert!(WITH_DEFAULT.is_set());
    assert_eq!(Context::new().get(&WITH_DEFAULT), None);
}

#[test]
fn writes_in_run_stay_in_its_context() {
    #[context_var]
    static NUMBER: u64 = 0;

    let mut ctx = Context::new();
    assert_eq!(ctx.run(|| NUMBER.get()), 0);
    ctx.run(|| NUMBER.set(1));
    ctx.run(|| {
        assert_eq!(NUMBER.get(), 1);
        let mut inner = copy_context();
        inner.run(|| NUMBER.set(2));
        assert_eq!(inner[&NUMBER], 2);
        assert_eq!(NUMBER.get(), 1);
    });
    assert_eq!(ctx[&NUMBER], 1);
    assert!(!NUMBER.is_set());
}

#[test]
fn a_panic_restores_the_previous_context() {
    #[context_var]
    static NUMBER: u64;

    NUMBER.set(1);
    let mut ctx = Context::new();
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        ctx.run(|| {
            NUMBER.set(2);
            let mut inner = Context::new();
            // Runs during unwinding, when the inner context has been left and the outer has not.
            let _on_drop = OnDrop(|| assert_eq!(NUMBER.get(), 2));
            inner.run(|| panic!("on purpose"));
        });
    }));
    assert!(result.is_err());
    assert_eq!(NUMBER.get(), 1);
    // Values set before the panic are kept.
    assert_eq!(ctx[&NUMBER], 2);
}

#[test]
fn an_empty_context_hides_the_thread_context() {
    #[context_var(log)]
    static NUMBER: u64;

    NUMBER.set(1);
    Context::new().run(|| {
        assert!(!NUMBER.is_set());
        assert!(copy_context().is_empty());
        for_each_log_field(|name, _| panic!("{name} is not set here"));
        NUMBER.set(2);
        assert_eq!(copy_context()[&NUMBER], 2);
    });
    assert_eq!(copy_context()[&NUMBER], 1);
}

#[test]
fn ten_thousand_nested_runs() {
    const LEVELS: u32 = if cfg!(miri) { 50 } else { 10_000 };

    #[context_var]
    static DEPTH: u32 = 0;

    fn down(levels: u32) {
        if levels > 0 {
            copy_context().run(|| {
                DEPTH.set(DEPTH.get() + 1);
                down(levels - 1);
            });
        } else {
            assert_eq!(DEPTH.get(), LEVELS);
        }
    }

    let thread = thread::Builder::new().stack_size(64 << 20).spawn(|| {
        down(LEVELS);
        assert_eq!(DEPTH.get(), 0);
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn a_hundred_thousand_variables_on_a_small_stack() {
    const COUNT: usize = if cfg!(miri) { 100 } else { 100_000 };
    static MANY: [ContextVar<Arc<u32>>; COUNT] = [const { ContextVar::new("many") }; COUNT];

    let thread = thread::Builder::new().stack_size(128 << 10).spawn(|| {
        let (old, new) = (Arc::new(1), Arc::new(2));
        let mut base = Context::new();
        MANY.iter().for_each(|var| base.set(var, old.clone()));
        let mut changed = base.clone();
        changed.run(|| MANY.iter().for_each(|var| drop(var.set(new.clone()))));
        assert_eq!((base.len(), changed.iter().count()), (COUNT, COUNT));
        assert_eq!((Arc::strong_count(&old), Arc::strong_count(&new)), (COUNT + 1, COUNT + 1));
        assert!(format!("{changed:?}").len() > COUNT);

        // Onto the thread's context, which is dropped at its exit.
        changed.apply_changes_to_current(&base);
        drop(base);
        assert_eq!(Arc::strong_count(&old), 1);
        assert_eq!(MANY.iter().filter(|var| var.with(|value| **value == 2)).count(), COUNT);
        drop(changed.only(&[&MANY[0], &MANY[COUNT - 1]]));
        Arc::downgrade(&new)
    });
    assert_eq!(thread.unwrap().join().unwrap().strong_count(), 0);
}

#[test]
fn a_callback_keeps_its_context_between_calls() {
    #[context_var]
    static CALLS: u64 = 0;

    fn foreign(mut callback: impl FnMut(u64) -> u64) -> Vec<u64> {
        Context::new().run(|| (1..=3).map(&mut callback).collect())
    }
    let count = |n: u64| {
        CALLS.set(CALLS.get() + n);
        CALLS.get()
    };

    CALLS.set(10);
    let mut ctx = copy_context();
    assert_eq!(foreign(move |n| ctx.run(|| count(n))), [11, 13, 16]);
    // A clone per call isolates the calls.
    let ctx = copy_context();
    assert_eq!(foreign(move |n| ctx.clone().run(|| count(n))), [11, 12, 13]);
    assert_eq!(CALLS.get(), 10);
}

#[test]
fn sync_scope_restores_its_variable_and_no_other() {
    #[context_var]
    static SCOPED: String = "default".to_owned();
    #[context_var]
    static OTHER: u64;

    let result = SCOPED.sync_scope("inner".to_owned(), || {
        OTHER.set(1);
        SCOPED.set("changed".to_owned());
        SCOPED.get()
    });
    assert_eq!(result, "changed");
    assert!(!SCOPED.is_set());
    assert_eq!(OTHER.get(), 1);

    SCOPED.set("outer".to_owned());
    let text = panic_text(|| SCOPED.sync_scope("inner".to_owned(), || panic!("on purpose")));
    assert_eq!(text, "on purpose");
    assert_eq!(SCOPED.get(), "outer");
}

/// Types of every representation, in one context, by reference and by value.
#[test]
fn values_of_every_representation() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Zero;
    #[derive(Clone, Debug, PartialEq)]
    #[repr(align(64))]
    struct Aligned(u8);

    macro_rules! check {
        ($($ty:ty: $value:expr),* $(,)?) => {$({
            static VAR: ContextVar<$ty> = ContextVar::new("var");
            let value: $ty = $value;
            assert_eq!(VAR.set(value.clone()).old_value(), None);
            assert_eq!(VAR.get(), value);
            assert!(VAR.with(|seen| *seen == value && (&raw const *seen).is_aligned()));
            let copy = copy_context();
            let token = VAR.set(value.clone());
            assert_eq!(token.old_value(), Some(&value));
            VAR.reset(token);
            assert_eq!(copy[&VAR], value);
        })*};
    }
    check! {
        bool: true, char: 'ö', u8: 255, i8: -1, u16: 65535, i16: -2, u32: 1 << 31, i32: -3,
        u64: u64::MAX, i64: i64::MIN, usize: 7, isize: -7, f32: 1.5, f64: -0.25,
        u128: u128::MAX, (): (), Zero: Zero, Aligned: Aligned(3), &'static str: "text",
        String: "text".to_owned(), Vec<u8>: vec![1, 2], [u64; 40]: [9; 40], Option<Box<u8>>: Some(Box::new(1)),
        std::sync::Arc<str>: "shared".into(),
    }
}

/// If a value panics in its drop, the context still drops its other values, as `Vec` does.
#[test]
fn a_panicking_drop_leaves_no_other_value_undropped() {
    type Held = OnDrop<Box<dyn FnMut() + Send + Sync>>;

    // More variables than fit in one node of the map; the panicking value takes each place in turn.
    let vars: Vec<&'static ContextVar<Held>> =
        (0..40).map(|_| &*Box::leak(Box::new(ContextVar::new("one of many")))).collect();
    for bomb in (0..vars.len()).step_by(if cfg!(miri) { 13 } else { 1 }) {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut ctx = Context::new();
        for (n, var) in vars.iter().enumerate() {
            let dropped = dropped.clone();
            ctx.set(
                var,
                OnDrop(Box::new(move || {
                    dropped.fetch_add(1, Ordering::SeqCst);
                    assert_ne!(n, bomb, "in drop");
                })),
            );
        }
        assert!(panic_text(|| drop(ctx)).contains("in drop"));
        assert_eq!(dropped.load(Ordering::SeqCst), vars.len());
        assert_eq!(Arc::strong_count(&dropped), 1);
    }
}
