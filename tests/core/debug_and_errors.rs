//! Debug output, error messages, and the locations of panics (rules 15 and 16).

use std::error::Error;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::{Arc, Mutex};

use contextvar::{Context, ContextVar, LookupError, LookupErrorKind, context_var, copy_context};
use futures::FutureExt;

#[derive(Clone)]
struct NoDebug;

#[context_var]
static USER: String;
#[context_var]
static OPAQUE: NoDebug;
#[context_var(secret)]
static PASSWORD: String;
#[context_var(name = "the list")]
static LIST: Vec<Option<u8>> = vec![];

#[test]
fn debug_of_a_context_lists_names_and_values() {
    static BY_HAND: ContextVar<&str> = ContextVar::new("by hand");
    static BY_HAND_DEBUG: ContextVar<&str> = ContextVar::new("by_hand_debug").debug();
    static BY_HAND_SECRET: ContextVar<&str> = ContextVar::new("by_hand_secret").secret().debug();

    let ctx = Context::new().with_value(&USER, "ada".to_owned());
    assert_eq!(format!("{ctx:?}"), r#"Context { USER: "ada" }"#);
    assert_eq!(format!("{ctx:#?}"), "Context {\n    USER: \"ada\",\n}");
    let ctx = Context::new().with_value(&OPAQUE, NoDebug);
    assert_eq!(format!("{ctx:?}"), "Context { OPAQUE: it::debug_and_errors::NoDebug }");
    let ctx = Context::new().with_value(&PASSWORD, "sesame".to_owned());
    assert_eq!(format!("{ctx:?}"), "Context { PASSWORD: <redacted> }");
    let ctx = Context::new().with_value(&LIST, vec![Some(1), None]);
    assert_eq!(format!("{ctx:?}"), "Context { the list: [Some(1), None] }");
    let ctx = Context::new().with_value(&BY_HAND, "value");
    assert_eq!(format!("{ctx:?}"), "Context { by hand: &str }");
    let ctx = Context::new().with_value(&BY_HAND_DEBUG, "value");
    assert_eq!(format!("{ctx:?}"), r#"Context { by_hand_debug: "value" }"#);
    let ctx = Context::new().with_value(&BY_HAND_SECRET, "value");
    assert_eq!(format!("{ctx:?}"), "Context { by_hand_secret: <redacted> }");
    assert_eq!(format!("{:?}", Context::new()), "Context");
}

#[test]
fn entries_have_a_name_and_a_typed_value() {
    let ctx = Context::new().with_value(&USER, "ada".to_owned()).with_value(&OPAQUE, NoDebug);
    let mut shown: Vec<_> = ctx.iter().map(|entry| format!("{}: {entry:?}", entry.name())).collect();
    shown.sort();
    assert_eq!(shown, ["OPAQUE: it::debug_and_errors::NoDebug", "USER: \"ada\""]);
    assert_eq!(ctx.iter().len(), 2);
    let user = (&ctx).into_iter().find(|entry| entry.name() == "USER").unwrap();
    assert_eq!(user.downcast_ref::<String>().unwrap(), "ada");
    assert!(user.downcast_ref::<&str>().is_none());
}

#[test]
fn every_public_type_is_debug() {
    assert_eq!(format!("{OPAQUE:?}"), r#"ContextVar { name: "OPAQUE", .. }"#);
    let token = OPAQUE.set(NoDebug);
    assert_eq!(format!("{token:?}"), r#"Token { var: "OPAQUE", .. }"#);
    let error = Context::new().run(|| OPAQUE.try_reset(token)).unwrap_err();
    assert_eq!(
        format!("{error:?}"),
        r#"ResetError { name: "OPAQUE", kind: DifferentContext, token: Token { var: "OPAQUE", .. } }"#
    );
    let guard = error.into_token().reset_on_drop();
    assert_eq!(format!("{guard:?}"), r#"ResetOnDrop { token: Some(Token { var: "OPAQUE", .. }) }"#);
    let error = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async { tokio::spawn(async { OPAQUE.try_set(NoDebug) }).await.unwrap() })
        .unwrap_err();
    assert_eq!(format!("{error:?}"), r#"SetError { name: "OPAQUE", kind: NoContext, .. }"#);
    let scope = Context::new().with_value(&USER, "ada".to_owned()).scope(async {});
    assert_eq!(format!("{scope:?}"), r#"Scoped { context: Context { USER: "ada" }, .. }"#);
    assert_eq!(
        format!("{:?}", scope.and_context()),
        r#"ScopedAndContext { context: Context { USER: "ada" }, .. }"#
    );
    contextvar::thread::scope(|s| assert!(format!("{s:?}").starts_with("Scope {")));
    assert!(format!("{:?}", contextvar::thread::Builder::new()).starts_with("Builder"));
    #[cfg(tokio_unstable)]
    assert_eq!(format!("{:?}", contextvar::runtime::Hooks::new()), "Hooks { .. }");
}

#[test]
fn errors_name_the_variable() {
    fn assert_error(error: impl Error + Send + Sync + 'static, text: &str) {
        let error: Box<dyn Error + Send + Sync> = Box::new(error);
        assert_eq!(error.to_string(), text);
        assert!(!text.ends_with('.') && text.starts_with(char::is_lowercase));
    }

    let error: LookupError = USER.try_get().unwrap_err();
    assert_eq!((error.name(), error.kind()), ("USER", LookupErrorKind::NotSet));
    assert_error(error, "context variable `USER` is not set and has no default");
    let token = USER.set("ada".to_owned());
    let error = PASSWORD.try_reset(token).unwrap_err();
    let text = error.to_string();
    assert_eq!(
        text,
        "context variable `PASSWORD` cannot be reset: the token was made by another variable, `USER`"
    );
    let error = copy_context().run(|| USER.try_reset(error.into_token())).unwrap_err();
    assert_error(error, "context variable `USER` cannot be reset: the token was made in another context");
    let task = async {
        let remedy = "this tokio task has no context of its own. Start a task with `contextvar::task::spawn` or \
                      `spawn_local` and a blocking call with `task::spawn_blocking`, put `#[with_copied_context]` on \
                      the async fn and call it outside of the task, or wrap the future in `Context::scope`. Put a \
                      `contextvar::tower::ContextLayer` around request handlers and extractors, and outside of \
                      middleware; do not give the server's task for the connection a context, because all requests \
                      of the connection would share it";
        let error = tokio::spawn(async { USER.try_set("ada".to_owned()) }).await.unwrap().unwrap_err();
        assert_error(error, &format!("context variable `USER` cannot be set: {remedy}"));
        let error = tokio::spawn(async { USER.try_get() }).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), LookupErrorKind::NoContext);
        assert_error(error, &format!("context variable `USER` is not set and has no default: {remedy}"));

        let copy = async { copy_context().scope(async { USER.try_get() }).await };
        let error = tokio::spawn(copy).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), LookupErrorKind::LostContext);
        assert_error(
            error,
            "context variable `USER` is not set and has no default: the current context is a copy that was taken \
             where there was no context. Take the copy where the values are, before the work is handed over: call \
             `inherit_context()` or the annotated function there, and not inside the closure or the task. Use \
             `Context::bind_async` for a closure that makes a future, and a `contextvar::tower::ContextLayer` around \
             a request handler, an extractor or a middleware. Use `#[with_empty_context]` for a function that needs \
             no values",
        );
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(task);
}

/// Returns the file and line that the panic of `f` reports.
fn panic_location<R>(f: impl FnOnce() -> R) -> (String, u32) {
    let seen = Arc::new(Mutex::new(None));
    let note = seen.clone();
    let thread = std::thread::current().id();
    let before = Arc::new(panic::take_hook());
    let other = before.clone();
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == thread {
            let location = info.location().unwrap();
            *note.lock().unwrap() = Some((location.file().to_owned(), location.line()));
        } else {
            other(info);
        }
    }));
    let result = panic::catch_unwind(AssertUnwindSafe(|| drop(f())));
    panic::set_hook(Box::new(move |info| before(info)));
    assert!(result.is_err());
    seen.lock().unwrap().take().unwrap()
}

#[test]
fn panics_point_at_the_caller() {
    macro_rules! assert_here {
        ($e:expr) => {{
            let here = Location::caller();
            let (file, line) = panic_location(|| $e);
            assert_eq!((&*file, line), (here.file(), line!()), "{}", stringify!($e));
        }};
    }
    // One test, because the panic hook is global.
    assert_here!(USER.get());
    assert_here!(USER.with(String::len));
    assert_here!(Context::new()[&USER].len());
    let token = USER.set("ada".to_owned());
    assert_here!(copy_context().run(|| USER.reset(token)));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let task = tokio::spawn(async {
            assert_here!(USER.set("ada".to_owned()));
            assert_here!(USER.sync_scope("ada".to_owned(), || ()));
            assert_here!(Context::new().apply_changes_to_current(&Context::new()));
        });
        task.await.unwrap();
    });
    assert_here!(contextvar::task::spawn(async {}));
    assert_here!(contextvar::task::spawn_blocking(|| ()));
    assert_here!(contextvar::task::spawn_blocking_returning_context(|| ()));
    assert_here!(contextvar::task::spawn_in_empty_context(async {}));
    assert_here!(contextvar::task::spawn_local(async {}));
    assert_here!(contextvar::thread::scope(|s| drop(s.spawn(|| panic!("in the thread")))));
    assert!(async {}.now_or_never().is_some());
}
