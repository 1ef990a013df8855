/// The id of a tokio task.
#[cfg(feature = "tokio")]
pub(crate) type TaskId = tokio::task::Id;
/// Without feature `tokio` no code runs in a known task.
#[cfg(not(feature = "tokio"))]
pub(crate) type TaskId = std::convert::Infallible;

/// Returns the id of the tokio task that this code runs in, if any.
#[inline]
pub(crate) fn task_id() -> Option<TaskId> {
    #[cfg(feature = "tokio")]
    return tokio::task::try_id();
    #[cfg(not(feature = "tokio"))]
    return None;
}

/// The reason why a variable has no value. See [`LookupError`](crate::LookupError).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupErrorKind {
    /// The variable is not set in the current context.
    NotSet,
    /// The code runs in a tokio task that was given no context.
    NoContext,
    /// The current context is a copy that was taken where there was no context, or a copy of such a copy.
    LostContext,
    /// The code runs in a tokio task that is polled inside a context that another task or other code entered.
    /// The variable is not set there.
    OtherTask,
    /// The thread is exiting, and its own context is gone.
    ThreadExit,
}

/// The reason why the current context cannot be written. See [`SetError`](crate::SetError) and
/// [`ApplyError`](crate::ApplyError).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteErrorKind {
    /// The code runs in a tokio task that was given no context.
    NoContext,
    /// The current context was entered by another task, or by code outside of this task.
    OtherTask,
    /// The thread is exiting, and its own context is gone.
    ThreadExit,
}
