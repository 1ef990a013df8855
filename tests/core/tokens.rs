//! Tokens and guards (rules 4 and 14).

use contextvar::{Context, ResetErrorKind, context_var, copy_context};

use crate::support::panic_text;

#[test]
fn resets_restore_old_values_in_any_order() {
    #[context_var]
    static TEXT: String;

    let tokens: Vec<_> = (1..=4).map(|n| TEXT.set(n.to_string())).collect();
    assert!(tokens.iter().all(|token| std::ptr::eq(token.var(), &TEXT)));
    let old: Vec<_> = tokens.iter().map(|token| token.old_value().map(String::as_str)).collect();
    assert_eq!(old, [None, Some("1"), Some("2"), Some("3")]);
    for (token, restored) in tokens.into_iter().zip([None, Some("1"), Some("2"), Some("3")]) {
        TEXT.reset(token);
        assert_eq!(TEXT.try_get().ok().as_deref(), restored);
    }

    // In the reverse order.
    let (first, second) = (TEXT.set("one".to_owned()), TEXT.set("two".to_owned()));
    TEXT.reset(second);
    assert_eq!(TEXT.get(), "one");
    TEXT.reset(first);
    assert_eq!(TEXT.get(), "3");
}

#[test]
fn a_token_is_good_in_its_own_context_only() {
    #[context_var]
    static TEXT: String;

    TEXT.set("before".to_owned());
    let token = TEXT.set("after".to_owned());
    let mut copy = copy_context();
    let error = copy.run(|| TEXT.try_reset(token)).unwrap_err();
    assert_eq!(error.kind(), ResetErrorKind::DifferentContext);
    assert_eq!(copy[&TEXT], "after");
    let error = copy.clone().run(|| TEXT.try_reset(error.into_token())).unwrap_err();
    let error = Context::new().run(|| TEXT.try_reset(error.into_token())).unwrap_err();
    // A context that has made tokens itself refuses it as well.
    let set_and_reset = || {
        TEXT.set("there".to_owned());
        TEXT.try_reset(error.into_token())
    };
    let error = copy.run(set_and_reset).unwrap_err();
    assert_eq!((error.kind(), &*copy[&TEXT]), (ResetErrorKind::DifferentContext, "there"));
    let token = error.into_token();
    assert_eq!(token.old_value().unwrap(), "before");
    TEXT.reset(token);
    assert_eq!(TEXT.get(), "before");
}

#[test]
fn a_token_of_another_variable_changes_nothing() {
    #[context_var]
    static ONE: u64;
    #[context_var]
    static TWO: u64;

    let token = ONE.set(1);
    TWO.set(2);
    let error = TWO.try_reset(token).unwrap_err();
    assert_eq!(error.kind(), ResetErrorKind::DifferentVar);
    assert_eq!((ONE.get(), TWO.get()), (1, 2));
    // If both are wrong, the variable is checked first, as in PEP 567.
    let error = Context::new().run(|| TWO.try_reset(error.into_token())).unwrap_err();
    assert_eq!(error.kind(), ResetErrorKind::DifferentVar);
    ONE.reset(error.into_token());
    assert!(!ONE.is_set());
}

#[test]
fn a_context_keeps_its_identity_when_entered_and_moved() {
    #[context_var]
    static NUMBER: u64;

    let mut ctx = Context::new();
    let token = ctx.run(|| NUMBER.set(1));
    for n in 2..10 {
        ctx.run(|| NUMBER.set(n));
        // A clone is another context.
        ctx.clone().run(|| NUMBER.set(0));
    }
    let mut moved = Box::new(ctx);
    // On another thread the token is good in this context, and in no other.
    let reset = || {
        let token = NUMBER.try_reset(token).unwrap_err().into_token();
        moved.run(|| NUMBER.reset(token));
    };
    std::thread::scope(|s| s.spawn(reset).join().unwrap());
    assert!(!moved.contains(&NUMBER));
}

#[test]
fn a_context_keeps_its_identity_when_set_from_outside() {
    #[context_var]
    static NUMBER: u64;

    let mut ctx = Context::new().with_value(&NUMBER, 1);
    let token = ctx.run(|| NUMBER.set(2));
    ctx.set(&NUMBER, 3);
    ctx.run(|| NUMBER.reset(token));
    assert_eq!(ctx[&NUMBER], 1);
}

#[test]
fn a_guard_resets_at_scope_end_and_on_panic() {
    #[context_var]
    static NUMBER: u64 = 0;

    {
        let _reset = NUMBER.set(1).reset_on_drop();
        assert_eq!(NUMBER.get(), 1);
    }
    assert!(!NUMBER.is_set());
    let text = panic_text(|| {
        let _reset = NUMBER.set(1).reset_on_drop();
        panic!("on purpose");
    });
    assert_eq!(text, "on purpose");
    assert!(!NUMBER.is_set());
}

#[test]
fn a_guard_in_the_wrong_context_does_nothing() {
    #[context_var]
    static NUMBER: u64;

    let guard = NUMBER.set(1).reset_on_drop();
    let mut copy = copy_context();
    copy.run(|| drop(guard));
    assert_eq!(copy[&NUMBER], 1);
    assert_eq!(NUMBER.get(), 1);
}
