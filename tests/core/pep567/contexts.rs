//! Tests of contexts and `run`.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use contextvar::{Context, context_var, copy_context};

use super::names;
use crate::support::panic_text;

// test_context_subclassing_1: there are no subclasses.

#[test]
fn test_context_new_1() {
    #[context_var]
    static VAR: u32;

    VAR.set(1);
    assert!(Context::new().is_empty());
    assert!(Context::default().is_empty());
}

// test_context_new_unhashable_str_subclass: a name is a `&'static str` and is never hashed.
// test_context_typerrors_1: only a `&'static ContextVar<T>` can be looked up.

#[test]
fn test_context_get_context_1() {
    #[context_var]
    static VAR: u32;

    assert!(copy_context().is_empty());
    VAR.set(1);
    assert_eq!(copy_context()[&VAR], 1);
}

// test_context_run_1: `run` without a function does not compile.

#[test]
fn test_context_run_2() {
    #[context_var]
    static VAR: u32;

    fn function() -> u32 {
        VAR.get()
    }

    let mut ctx = Context::new().with_value(&VAR, 7);
    assert_eq!(ctx.run(function), 7);

    // A closure borrows or owns what Python passes as arguments, `Send` or not.
    let (text, mut calls, owned) = (String::from("spam"), 0, Rc::new(()));
    let (part, returned) = ctx.run(|| {
        calls += VAR.get();
        (&text[1..], owned)
    });
    assert_eq!((part, calls, Rc::strong_count(&returned)), ("pam", 7, 1));
}

#[test]
fn test_context_run_3() {
    assert_eq!(panic_text(|| Context::new().run(|| panic!("spam {}", 1))), "spam 1");
}

#[test]
fn test_context_run_4() {
    #[context_var]
    static VAR: &str;

    let (mut ctx1, mut ctx2) = (Context::new(), Context::new());
    let returned = ctx1.run(|| {
        assert!(!VAR.is_set());
        VAR.set("spam");
        ctx2.run(|| assert!(!VAR.is_set()));
        assert_eq!(VAR.get(), "spam");
        copy_context()
    });
    assert_eq!(returned.len(), 1);
    assert_eq!(returned[&VAR], "spam");
    assert_eq!(ctx1[&VAR], "spam");
    assert!(ctx2.is_empty());
    assert!(!VAR.is_set());
}

#[test]
fn test_context_run_5() {
    #[context_var]
    static VAR: &str;

    let mut ctx = Context::new();
    VAR.set("outer");
    panic_text(|| {
        ctx.run(|| {
            assert!(!VAR.is_set());
            VAR.set("spam");
            panic!("1 / 0");
        })
    });
    assert_eq!(VAR.get(), "outer");
    // The context keeps the values set before the panic, and can be used further.
    assert_eq!(ctx.run(|| VAR.get()), "spam");
}

#[test]
fn test_context_run_6() {
    #[context_var]
    static VAR: u32 = 0;

    // The context cannot be read from outside while it runs; a copy can.
    Context::new().run(|| {
        assert_eq!(VAR.get(), 0);
        assert_eq!(copy_context().get(&VAR), None);
        VAR.set(42);
        assert_eq!(VAR.get(), 42);
        assert_eq!(copy_context().get(&VAR), Some(&42));
    });
}

// Entering a context twice does not compile; recursion goes through copies.
#[test]
fn test_context_run_7() {
    #[context_var]
    static DEPTH: u32 = 0;

    fn descend() -> u32 {
        let depth = DEPTH.get();
        if depth == 100 {
            return depth;
        }
        let deepest = copy_context().run(|| {
            DEPTH.set(depth + 1);
            descend()
        });
        assert_eq!(DEPTH.get(), depth);
        deepest
    }

    assert_eq!(Context::new().run(descend), 100);
}

#[test]
fn test_context_copy_1() {
    #[context_var]
    static VAR: u32 = 42;

    let mut ctx1 = Context::new();
    ctx1.run(|| {
        VAR.set(10);
        let mut ctx2 = copy_context();
        assert_eq!(ctx2[&VAR], 10);
        VAR.set(20);
        assert_eq!(ctx2[&VAR], 10);
        ctx2.run(|| {
            assert_eq!(VAR.get(), 10);
            VAR.set(30);
        });
        assert_eq!((VAR.get(), ctx2[&VAR]), (20, 30));
    });
    let mut ctx3 = ctx1.clone();
    ctx1.run(|| VAR.set(40));
    ctx3.unset(&VAR);
    assert_eq!((ctx1.get(&VAR), ctx3.get(&VAR)), (Some(&40), None));
    assert!(Context::new().clone().is_empty());
}

#[test]
fn test_context_isinstance() {
    #[context_var]
    static A: u32;
    #[context_var]
    static B: &str;

    // The operations of a mapping: `in`, `[]`, `get`, `len`, and keys, values and items through `iter`.
    let ctx = Context::new().with_value(&A, 1).with_value(&B, "two");
    assert!(ctx.contains(&A) && ctx.contains(&B));
    assert_eq!((ctx[&A], ctx.get(&B)), (1, Some(&"two")));
    assert_eq!((ctx.len(), ctx.iter().len(), ctx.is_empty()), (2, 2, false));
    assert_eq!(names(&ctx), ["A", "B"]);
    assert_eq!(ctx.iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>(), ["1", "\"two\""]);
    let items: HashMap<_, _> = ctx.iter().map(|entry| (entry.name(), entry)).collect();
    assert_eq!(items["A"].downcast_ref(), Some(&1_u32));
    assert_eq!(items["B"].downcast_ref(), Some(&"two"));
}

// This stands for ..._set_in_hash as well. A context has no `==` that calls the values' code, but `get` calls
// their `Clone`, and the `Debug` of a context calls theirs.
#[test]
fn test_context_eq_reentrant_contextvar_set() {
    #[context_var]
    static VAR: Counted;

    struct Counted(Arc<u32>);

    fn set(number: u32) {
        VAR.set(Counted(Arc::new(number)));
    }

    impl Clone for Counted {
        fn clone(&self) -> Self {
            set(*self.0 + 1);
            Counted(self.0.clone())
        }
    }

    impl fmt::Debug for Counted {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            set(*self.0 + 10);
            write!(f, "{}", self.0)
        }
    }

    set(1);
    assert_eq!(*VAR.get().0, 1);
    VAR.with(|value| {
        let alive = Arc::downgrade(&value.0);
        assert_eq!(format!("{value:?}"), "2");
        assert_eq!(alive.upgrade().as_deref(), Some(&2), "the value being read stays alive");
    });
    assert_eq!(format!("{:?}", copy_context()), "Context { VAR: 12 }");
    assert_eq!(VAR.with(|value| *value.0), 22);
}

/// A generator has no context: each step runs in its caller's.
#[test]
fn generators_run_in_their_callers_context() {
    #[context_var]
    static VAR: u32 = 0;

    let mut generator = (10..).map(|step| {
        VAR.set(VAR.get() + step);
        VAR.get()
    });
    let mut ctx = Context::new().with_value(&VAR, 100);
    assert_eq!(generator.next(), Some(10));
    assert_eq!(ctx.run(|| generator.next()), Some(111));
    assert_eq!(generator.next(), Some(22));
    assert_eq!((VAR.get(), ctx[&VAR]), (22, 111));
}
