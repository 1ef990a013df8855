#![deny(warnings, missing_docs)]
#![forbid(unsafe_code)]
//! Visibility, docs, `cfg` and lint attributes are kept, and the expansions cause no warnings.

/// Variables.
pub mod vars {
    use contextvar::context_var;

    /// The user's name.
    #[context_var]
    pub static USER: String = "nobody".to_owned();

    #[context_var(name = "tenant",)]
    #[allow(dead_code)]
    static UNUSED: u64;

    #[cfg(any())]
    #[context_var]
    static GONE: NoSuchType;

    #[context_var]
    #[cfg(any())]
    static GONE_TOO: NoSuchType;

    #[context_var]
    #[allow(non_upper_case_globals)]
    pub(super) static lower: u64 = 1;
}

/// Handlers.
pub mod handlers {
    use contextvar::with_copied_context;

    use super::vars;

    /// Greets.
    #[with_copied_context(vars::USER = user.to_owned(), vars::lower = 2,)]
    #[inline]
    #[must_use]
    pub async fn greet(user: &str, mut times: u64, _unused: u8) -> String {
        times += vars::lower.get();
        format!("{} {times}", vars::USER.get())
    }

    /// Does nothing.
    #[with_copied_context]
    pub async fn nothing() {}
}

fn main() {
    assert_eq!(futures::executor::block_on(handlers::greet("ada", 1, 0)), "ada 3");
    futures::executor::block_on(handlers::nothing());
    assert!(!vars::USER.is_set());
}
