use std::error::Error;
use std::fmt;

pub use crate::current::{LookupErrorKind, WriteErrorKind};
use crate::token::Token;

/// Returns the address of an entry on the guide's page `errors`.
macro_rules! address {
    ($anchor:literal) => {
        concat!("https://docs.rs/contextvar/latest/contextvar/guide/errors#", $anchor)
    };
}

pub(crate) use address;

/// Returned by a read of a variable that is not set in the current context and has no default. Its text says
/// why. If the context is missing or can't be used, the text also says what to write.
///
/// The guide has an entry for each kind: [not set], [no context], [lost context], [other task] and
/// [thread exit].
///
/// [not set]: https://docs.rs/contextvar/latest/contextvar/guide/errors#not-set
/// [no context]: https://docs.rs/contextvar/latest/contextvar/guide/errors#no-context
/// [lost context]: https://docs.rs/contextvar/latest/contextvar/guide/errors#lost-context
/// [other task]: https://docs.rs/contextvar/latest/contextvar/guide/errors#other-task
/// [thread exit]: https://docs.rs/contextvar/latest/contextvar/guide/errors#thread-exit
///
/// ```
/// use contextvar::{ContextVar, LookupErrorKind};
///
/// static USER: ContextVar<String> = ContextVar::new("user");
///
/// let error = USER.try_get().unwrap_err();
/// assert_eq!(error.kind(), LookupErrorKind::NotSet);
/// assert_eq!(error.to_string(), "context variable `user` is not set and has no default");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupError {
    name: &'static str,
    kind: LookupErrorKind,
}

impl LookupError {
    pub(crate) fn new(name: &'static str, kind: LookupErrorKind) -> Self {
        LookupError { name, kind }
    }

    /// Returns the variable's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the reason why there is no value.
    pub fn kind(&self) -> LookupErrorKind {
        self.kind
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "context variable `{}` is not set and has no default", self.name)?;
        match self.kind {
            LookupErrorKind::NotSet => Ok(()),
            LookupErrorKind::NoContext => write!(f, ": {NO_CONTEXT}. {USE_TASK}"),
            LookupErrorKind::LostContext => write!(f, ": {LOST_CONTEXT}. {COPY_EARLIER}"),
            LookupErrorKind::OtherTask => write!(f, ": {OTHER_TASK}. {USE_LOCAL_TASK}"),
            LookupErrorKind::ThreadExit => write!(f, ": {THREAD_EXIT}; read it inside `Context::run`"),
        }
    }
}

impl Error for LookupError {}

impl Described for LookupError {
    fn address(&self) -> &'static str {
        match self.kind {
            LookupErrorKind::NotSet => address!("not-set"),
            LookupErrorKind::NoContext => address!("no-context"),
            LookupErrorKind::LostContext => address!("lost-context"),
            LookupErrorKind::OtherTask => address!("other-task"),
            LookupErrorKind::ThreadExit => address!("thread-exit"),
        }
    }
}

/// Returned by [`try_set`](crate::ContextVar::try_set) if the current context cannot be written. Holds the
/// value. The message explains why, and what to do.
///
/// The guide has an entry for each kind: [no context], [other task] and [thread exit].
///
/// [no context]: https://docs.rs/contextvar/latest/contextvar/guide/errors#no-context
/// [other task]: https://docs.rs/contextvar/latest/contextvar/guide/errors#other-task
/// [thread exit]: https://docs.rs/contextvar/latest/contextvar/guide/errors#thread-exit
///
/// In a request handler, put a `contextvar::tower::ContextLayer` around the handler. Do not give the server's
/// task for the connection a context: the connection's requests would share it.
///
/// ```
/// # #[cfg(feature = "tokio")] {
/// use contextvar::{ContextVar, WriteErrorKind};
///
/// static USER: ContextVar<String> = ContextVar::new("user");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // A plain `tokio::spawn` gives the task no context; `contextvar::task::spawn` does.
/// let task = tokio::spawn(async { USER.try_set("ada".to_owned()) });
/// let error = task.await.unwrap().unwrap_err();
/// assert_eq!(error.kind(), WriteErrorKind::NoContext);
/// assert!(error.to_string().contains("this tokio task has no context of its own"));
/// assert_eq!(error.into_value(), "ada");
/// # }
/// # main();
/// # }
/// ```
pub struct SetError<T> {
    name: &'static str,
    kind: WriteErrorKind,
    value: T,
}

impl<T> SetError<T> {
    pub(crate) fn new(name: &'static str, kind: WriteErrorKind, value: T) -> Self {
        SetError { name, kind, value }
    }

    /// Returns the reason why the variable was not set.
    pub fn kind(&self) -> WriteErrorKind {
        self.kind
    }

    /// Returns the value that was not set.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "context variable `{}` cannot be set: ", self.name)?;
        write_reason(self.kind, f)
    }
}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetError").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<T> Error for SetError<T> {}

impl<T> Described for SetError<T> {
    fn address(&self) -> &'static str {
        address_of_reason(self.kind)
    }
}

/// Returned by [`try_apply_changes_to_current`](crate::Context::try_apply_changes_to_current) if the current
/// context cannot be written. The message explains why, and what to do. Nothing has changed.
///
/// The guide has an entry for each kind: [no context], [other task] and [thread exit].
///
/// [no context]: https://docs.rs/contextvar/latest/contextvar/guide/errors#no-context
/// [other task]: https://docs.rs/contextvar/latest/contextvar/guide/errors#other-task
/// [thread exit]: https://docs.rs/contextvar/latest/contextvar/guide/errors#thread-exit
#[derive(Clone, Debug)]
pub struct ApplyError {
    kind: WriteErrorKind,
}

impl ApplyError {
    pub(crate) fn new(kind: WriteErrorKind) -> Self {
        ApplyError { kind }
    }

    /// Returns the reason why the changes were not applied.
    pub fn kind(&self) -> WriteErrorKind {
        self.kind
    }
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the changes of a context cannot be applied: ")?;
        write_reason(self.kind, f)
    }
}

impl Error for ApplyError {}

impl Described for ApplyError {
    fn address(&self) -> &'static str {
        address_of_reason(self.kind)
    }
}

/// Says why the current context cannot be written, and what to do.
fn write_reason(kind: WriteErrorKind, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match kind {
        WriteErrorKind::NoContext => write!(f, "{NO_CONTEXT}. {USE_TASK}"),
        WriteErrorKind::OtherTask => write!(f, "{OTHER_TASK}. {USE_LOCAL_TASK}"),
        WriteErrorKind::ThreadExit => write!(f, "{THREAD_EXIT}; set it inside `Context::run`"),
    }
}

/// Returns the address of the entry about the reason.
fn address_of_reason(kind: WriteErrorKind) -> &'static str {
    match kind {
        WriteErrorKind::NoContext => address!("no-context"),
        WriteErrorKind::OtherTask => address!("other-task"),
        WriteErrorKind::ThreadExit => address!("thread-exit"),
    }
}

/// Says what to write instead.
#[cfg(feature = "report")]
pub(crate) fn remedy(cause: crate::report::Cause) -> &'static str {
    use crate::report::Cause;

    match cause {
        Cause::NoContext => USE_TASK,
        Cause::LostContext => COPY_EARLIER,
        Cause::OtherTask => USE_LOCAL_TASK,
        Cause::Connection => {
            "Put a `contextvar::tower::ContextLayer` around the service (with hyper alone, a \
             `contextvar::hyper::ContextService`): it gives each request its own context"
        }
        Cause::Thread => {
            "Start the thread with `contextvar::thread::spawn`, or wrap its closure in `inherit_context().bind(..)`"
        }
        Cause::ThreadExit => "Use the variable inside `Context::run`",
    }
}

const NO_CONTEXT: &str = "this tokio task has no context of its own";
const LOST_CONTEXT: &str = "the current context is a copy that was taken where there was no context";
const OTHER_TASK: &str = "this tokio task is polled inside the context of another task or of other code, which it can read but not change";
const THREAD_EXIT: &str = "this thread is exiting and its context is gone";

// A task, a blocking call and a server's task for a connection look the same from inside.
const USE_TASK: &str = "Start a task with `contextvar::task::spawn` or `spawn_local` and a blocking call with \
     `task::spawn_blocking`, put `#[with_copied_context]` on the async fn and call it outside of the task, or wrap the \
     future in `Context::scope`. Put a `contextvar::tower::ContextLayer` around request handlers and extractors, and \
     outside of middleware; do not give the server's task for the connection a context, because all requests of the \
     connection would share it";
const COPY_EARLIER: &str = "Take the copy where the values are, before the work is handed over: call \
     `inherit_context()` or the annotated function there, and not inside the closure or the task. Use \
     `Context::bind_async` for a closure that makes a future, and a `contextvar::tower::ContextLayer` around a \
     request handler, an extractor or a middleware. Use `#[with_empty_context]` for a function that needs no values";
const USE_LOCAL_TASK: &str = "Start it with `contextvar::task::spawn_local` or `task::spawn`, put \
     `#[with_copied_context]` on its async fn, or wrap its future in `Context::scope`";

/// Returned by a `reset` with a token that another variable made, or that was made in another context. It
/// holds the token. Nothing has changed.
///
/// The guide has an entry for each kind: [token of another variable] and [token of another context].
///
/// [token of another variable]: https://docs.rs/contextvar/latest/contextvar/guide/errors#token-of-another-variable
/// [token of another context]: https://docs.rs/contextvar/latest/contextvar/guide/errors#token-of-another-context
///
/// ```
/// use contextvar::{ContextVar, ResetErrorKind, copy_context};
///
/// static USER: ContextVar<String> = ContextVar::new("user");
///
/// let token = USER.set("ada".to_owned());
/// let error = copy_context().run(|| USER.try_reset(token)).unwrap_err();
/// assert_eq!(error.kind(), ResetErrorKind::DifferentContext);
///
/// // The token is still valid in the context in which it was made.
/// USER.reset(error.into_token());
/// assert!(!USER.is_set());
/// ```
pub struct ResetError<T: 'static> {
    name: &'static str,
    kind: ResetErrorKind,
    token: Token<T>,
}

impl<T> ResetError<T> {
    pub(crate) fn new(name: &'static str, kind: ResetErrorKind, token: Token<T>) -> Self {
        ResetError { name, kind, token }
    }

    /// Returns the reason why the variable was not reset.
    pub fn kind(&self) -> ResetErrorKind {
        self.kind
    }

    /// Returns the token, which is still valid.
    pub fn into_token(self) -> Token<T> {
        self.token
    }
}

impl<T> fmt::Display for ResetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "context variable `{}` cannot be reset: the token was made ", self.name)?;
        match self.kind {
            ResetErrorKind::DifferentVar => {
                write!(f, "by another variable, `{}`", self.token.var().name())
            }
            ResetErrorKind::DifferentContext => f.write_str("in another context"),
        }
    }
}

impl<T> fmt::Debug for ResetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResetError")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("token", &self.token)
            .finish()
    }
}

impl<T> Error for ResetError<T> {}

impl<T> Described for ResetError<T> {
    fn address(&self) -> &'static str {
        match self.kind {
            ResetErrorKind::DifferentVar => address!("token-of-another-variable"),
            ResetErrorKind::DifferentContext => address!("token-of-another-context"),
        }
    }
}

/// The reason why a token cannot reset a variable. See [`ResetError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetErrorKind {
    /// Another variable made the token.
    DifferentVar,
    /// The token was made in a context other than the current one, or this task cannot write the current one.
    DifferentContext,
}

/// An error with an entry on the guide's page `errors`.
pub(crate) trait Described: fmt::Display {
    /// Returns the address of the entry.
    fn address(&self) -> &'static str;
}

/// Panics at the caller's line with the text of `error` and, on a line of its own, the address of its entry.
#[cold]
#[track_caller]
pub(crate) fn fail(error: &dyn Described) -> ! {
    panic!("{error}\nsee {}", error.address())
}
