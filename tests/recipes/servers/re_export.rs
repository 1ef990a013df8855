//! A crate that re-exports contextvar.

// Recipe

use platform::contextvar::{context_var, task, with_copied_context};

#[context_var(name = "user", log, crate = platform::contextvar)]
static USER: String = "nobody".to_owned();

#[with_copied_context(USER = user.to_owned(), crate = platform::contextvar)]
async fn greet(user: &str) -> String {
    task::spawn(async { format!("hello, {}", USER.get()) }).await.unwrap()
}

// Test

mod platform {
    pub(super) use ::contextvar;
}

/// What a crate can export, with `#[macro_export]` and `$crate::contextvar` for the path.
macro_rules! log_variable {
    ($(#[$meta:meta])* $vis:vis static $name:ident: $type:ty $(= $default:expr)?;) => {
        $(#[$meta])*
        #[$crate::servers::re_export::platform::contextvar::context_var(
            log,
            crate = $crate::servers::re_export::platform::contextvar
        )]
        $vis static $name: $type $(= $default)?;
    };
}

log_variable! {
    /// The tenant.
    pub(super) static TENANT: String;
}

log_variable! {
    static ATTEMPT: u64 = 1;
}

#[tokio::test]
async fn two_calls_that_overlap_see_their_users() {
    let greetings = tokio::join!(greet("ada"), greet("grace"));
    assert_eq!((&*greetings.0, &*greetings.1), ("hello, ada", "hello, grace"));
    assert_eq!(USER.get(), "nobody");
}

#[test]
fn a_macro_declares_variables_through_the_re_export() {
    contextvar::Context::new().run(|| {
        TENANT.set("acme".to_owned());
        ATTEMPT.set(ATTEMPT.get() + 1);
        let mut shown = Vec::new();
        contextvar::for_each_log_field(|name, value| shown.push(format!("{name}={value}")));
        shown.sort_unstable();
        assert_eq!(shown, ["ATTEMPT=2", "TENANT=acme"]);
    });
}
