//! Tests of Python 3.14's `with var.set(value):`, for which `reset_on_drop` stands.

use contextvar::context_var;

use crate::support::panic_text;

#[test]
fn test_token_contextmanager_with_default() {
    #[context_var]
    static VAR: u32 = 42;

    {
        let _reset = VAR.set(36).reset_on_drop();
        assert_eq!(VAR.get(), 36);
    }
    assert_eq!(VAR.get(), 42);
}

#[test]
fn test_token_contextmanager_without_default() {
    #[context_var]
    static VAR: u32;

    {
        let _reset = VAR.set(36).reset_on_drop();
        assert_eq!(VAR.get(), 36);
    }
    assert!(VAR.try_get().is_err());
}

#[test]
fn test_token_contextmanager_on_exception() {
    #[context_var]
    static VAR: u32 = 42;

    let message = panic_text(|| {
        let _reset = VAR.set(36).reset_on_drop();
        panic!("VAR is {}", VAR.get());
    });
    assert_eq!(message, "VAR is 36");
    assert_eq!(VAR.get(), 42);
}

// test_token_contextmanager_reentrant: `reset_on_drop` takes the token, so it can't be called twice.

#[test]
fn test_token_contextmanager_multiple_c_set() {
    #[context_var]
    static VAR: u32 = 42;

    {
        let _reset = VAR.set(36).reset_on_drop();
        VAR.set(24);
        VAR.set(12);
        assert_eq!(VAR.get(), 12);
    }
    assert_eq!(VAR.get(), 42);
}

// test_token_contextmanager_with_explicit_reset_the_same_token: only the guard has the token.

#[test]
fn test_token_contextmanager_with_explicit_reset_another_token() {
    #[context_var]
    static VAR: u32 = 42;

    {
        let _reset = VAR.set(36).reset_on_drop();
        let token = VAR.set(24);
        assert_eq!(VAR.get(), 24);
        VAR.reset(token);
        assert_eq!(VAR.get(), 36);
    }
    assert_eq!(VAR.get(), 42);
}
