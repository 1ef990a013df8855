//! Tests of variables and tokens.

use std::sync::{Arc, Mutex};

use contextvar::{Context, ContextVar, ResetErrorKind, context_var, copy_context};

use super::names;
use crate::support::panic_text;

#[test]
fn test_context_var_new_1() {
    #[context_var(name = "aaa")]
    static VAR: u32;
    static TWIN: ContextVar<u32> = ContextVar::new("aaa");

    assert_eq!((VAR.name(), TWIN.name()), ("aaa", "aaa"));
    VAR.set(1);
    assert!(!TWIN.is_set(), "a name is for messages: two variables can have the same");
    TWIN.set(2);
    assert_eq!((VAR.get(), TWIN.get(), copy_context().len()), (1, 2, 2));
}

#[test]
fn test_context_var_repr_1() {
    #[context_var(name = "a")]
    static VAR: u32 = 123;

    assert!(format!("{VAR:?}").contains(r#""a""#));
}

#[test]
fn test_token_repr_1() {
    #[context_var(name = "a")]
    static VAR: u32;

    // It never contains "used": using a token consumes it.
    let token = format!("{:?}", VAR.set(1));
    assert!(token.starts_with("Token") && token.contains(r#""a""#), "{token}");
}

// Using a token twice does not compile.
#[test]
fn test_context_getset_1() {
    #[context_var(name = "c")]
    static VAR: String;

    assert_eq!(VAR.try_get().unwrap_err().to_string(), "context variable `c` is not set and has no default");
    let address = "https://docs.rs/contextvar/latest/contextvar/guide/errors#not-set";
    assert_eq!(panic_text(|| VAR.get()), format!("{}\nsee {address}", VAR.try_get().unwrap_err()));
    assert_eq!(VAR.get_or("none".to_owned()), "none");

    let first = VAR.set("42".to_owned());
    assert_eq!(VAR.get(), "42");
    assert_eq!(VAR.get_or("none".to_owned()), "42");
    assert_eq!(first.old_value(), None); // Token.MISSING
    assert!(std::ptr::eq(first.var(), &VAR));

    let second = VAR.set("spam".to_owned());
    assert_eq!(VAR.get(), "spam");
    assert_eq!(second.old_value().unwrap(), "42");
    VAR.reset(second);
    assert_eq!(VAR.get(), "42");

    VAR.set("spam2".to_owned());
    let ctx1 = copy_context();
    VAR.reset(first);
    assert!(VAR.try_get().is_err());

    assert!(ctx1.contains(&VAR));
    assert_eq!(ctx1[&VAR], "spam2");
    assert_eq!(ctx1.get(&VAR).map_or("aa", String::as_str), "spam2");

    let ctx2 = copy_context();
    assert!(!ctx2.contains(&VAR));
    let text = "context variable `c` is not set in this context\nsee \
                https://docs.rs/contextvar/latest/contextvar/guide/errors#not-set-in-this-context";
    assert_eq!(panic_text(|| ctx2[&VAR].clone()), text);
    assert_eq!(ctx2.get(&VAR).map_or("aa", String::as_str), "aa");
    assert_eq!(ctx2.len(), 0);
    assert_eq!(names(&ctx2), [""; 0]);
}

#[test]
fn test_context_getset_2() {
    #[context_var]
    static V1: u32;
    #[context_var]
    static V2: u32;

    let error = V2.try_reset(V1.set(42)).unwrap_err();
    assert_eq!(error.kind(), ResetErrorKind::DifferentVar);
    assert_eq!(
        error.to_string(),
        "context variable `V2` cannot be reset: the token was made by another variable, `V1`"
    );
    assert_eq!((V1.get(), V2.is_set()), (42, false));
    V1.reset(error.into_token());
    assert!(!V1.is_set());
}

#[test]
fn test_context_getset_3() {
    #[context_var(name = "c")]
    static VAR: u32 = 42;

    let mut ctx = Context::new();
    let token = ctx.run(|| {
        assert_eq!(VAR.get(), 42);
        assert_eq!(VAR.get_or(1), 1, "the argument takes precedence over the variable's default");
        let ctx = copy_context();
        assert_eq!((ctx.get(&VAR), ctx.contains(&VAR), ctx.len()), (None, false, 0));
        assert!(panic_text(|| ctx[&VAR]).contains("`c` is not set"));
        VAR.set(1)
    });
    assert_eq!((ctx[&VAR], names(&ctx)), (1, vec!["c"]));

    // Entering it again does not change its identity.
    ctx.run(|| VAR.reset(token));
    assert_eq!((ctx.get(&VAR), ctx.len()), (None, 0));
}

#[test]
fn test_context_getset_4() {
    #[context_var]
    static VAR: u32 = 42;

    let mut ctx = Context::new();
    let mut token = ctx.run(|| VAR.set(1));
    // The thread's context and copies are not the context that made the token.
    for mut other in [None, Some(ctx.clone()), Some(Context::new())] {
        let reset = || VAR.try_reset(token).unwrap_err();
        let error = match &mut other {
            Some(other) => other.run(reset),
            None => reset(),
        };
        assert_eq!(error.kind(), ResetErrorKind::DifferentContext);
        token = error.into_token();
    }
    let text = "context variable `VAR` cannot be reset: the token was made in another context\nsee \
                https://docs.rs/contextvar/latest/contextvar/guide/errors#token-of-another-context";
    assert_eq!(panic_text(|| VAR.reset(token)), text);
    assert_eq!((VAR.get(), ctx[&VAR]), (42, 1));
}

#[test]
fn test_context_getset_5() {
    #[context_var]
    static LIST: Arc<Mutex<Vec<u32>>>;

    let list = || LIST.get().lock().unwrap().clone();
    LIST.set(Arc::default());
    copy_context().run(|| {
        LIST.set(Arc::default());
        LIST.get().lock().unwrap().push(42);
        assert_eq!(list(), [42]);
    });
    assert!(list().is_empty());

    // Without a set, both share one list: copying a context does not copy its values.
    copy_context().run(|| LIST.get().lock().unwrap().push(43));
    assert_eq!(list(), [43]);
}
