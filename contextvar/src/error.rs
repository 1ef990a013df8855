use std::error::Error;
use std::fmt;

pub use crate::current::{LookupErrorKind, WriteErrorKind};
use crate::token::Token;

macro_rules! remedy_for_no_context {
    () => {
        "spawn it with `contextvar::task::spawn`, put `#[with_copied_context]` on its async fn, or wrap its future in \
         `Context::scope`"
    };
}

macro_rules! remedy_for_other_task {
    () => {
        "spawn it with `contextvar::task::spawn` or `spawn_local`, put `#[with_copied_context]` on its async fn, or \
         wrap its future in `Context::scope`"
    };
}

/// Returned by a read of a variable that is not set in the current context and has no default. Its text says
/// why, and what to do.
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
            LookupErrorKind::NoContext => write!(f, ": {NO_CONTEXT}"),
            LookupErrorKind::OtherTask => write!(f, ": {OTHER_TASK}"),
            LookupErrorKind::ThreadExit => {
                f.write_str(": this thread is exiting and its context is gone; read it inside `Context::run`")
            }
        }
    }
}

impl Error for LookupError {}

/// Returned by [`try_set`](crate::ContextVar::try_set) if the current context cannot be written. Holds the
/// value. The message explains why, and what to do.
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
        write!(f, "context variable `{}` cannot be set: {}", self.name, reason(self.kind))
    }
}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetError").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<T> Error for SetError<T> {}

/// Returned by [`try_apply_changes_to_current`](crate::Context::try_apply_changes_to_current) if the current
/// context cannot be written. The message explains why, and what to do. Nothing has changed.
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
        write!(f, "the changes of a context cannot be applied: {}", reason(self.kind))
    }
}

impl Error for ApplyError {}

/// Says why the current context cannot be written, and what to do.
fn reason(kind: WriteErrorKind) -> &'static str {
    match kind {
        WriteErrorKind::NoContext => NO_CONTEXT,
        WriteErrorKind::OtherTask => OTHER_TASK,
        WriteErrorKind::ThreadExit => {
            "this thread is exiting and its context is gone; set it inside `Context::run`"
        }
    }
}

/// Returns what to write instead of code that found no context.
#[cfg(feature = "report")]
pub(crate) fn remedy(kind: LookupErrorKind) -> &'static str {
    match kind {
        LookupErrorKind::NotSet => {
            "start the thread with `contextvar::thread::spawn`, or wrap its closure in `inherit_context().bind(..)`"
        }
        // A spawned task and a server's task for a connection look the same from inside: tokio spawned both.
        LookupErrorKind::NoContext => concat!(
            remedy_for_no_context!(),
            "; start a blocking call with `task::spawn_blocking`. If it is a server's task that calls a request \
             handler, an extractor or a middleware, put a `contextvar::tower::ContextLayer` outside of them"
        ),
        LookupErrorKind::OtherTask => remedy_for_other_task!(),
        LookupErrorKind::ThreadExit => "use it inside `Context::run`",
    }
}

const NO_CONTEXT: &str = concat!("this tokio task has no context of its own; ", remedy_for_no_context!());

const OTHER_TASK: &str = concat!(
    "this tokio task is polled inside the context of another, which it can read but not change; ",
    remedy_for_other_task!()
);

/// Returned by a `reset` with a token that another variable made, or that was made in another context. It
/// holds the token. Nothing has changed.
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

/// The reason why a token cannot reset a variable. See [`ResetError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetErrorKind {
    /// Another variable made the token.
    DifferentVar,
    /// The token was made in a context other than the current one, or this task cannot write the current one.
    DifferentContext,
}

/// Panics with the text of `error`, at the caller's line.
#[cold]
#[track_caller]
pub(crate) fn fail(error: &dyn fmt::Display) -> ! {
    panic!("{error}")
}
