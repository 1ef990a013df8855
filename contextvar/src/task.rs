//! [`tokio::task`]'s functions that start work, each carrying the context along.
//!
//! They take and give what tokio's do. Each runs its work in a copy of the current context, taken in the
//! caller, at the call, without the variables that are [not inherited](crate::ContextVar::inherit). Plain `tokio::spawn` gives a task no context at all: reads find nothing set, and
//! setting is a [`SetError`](crate::SetError).

use tokio::task::JoinHandle;

use crate::context::Context;
use crate::in_context::InContext;
use crate::inherit;

/// [`tokio::spawn`] in a copy of the current context: asyncio's `create_task(f())`.
///
/// # Panics
///
/// As tokio's: outside of a runtime.
///
/// # Examples
///
/// ```
/// use contextvar::{ContextVar, task};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// USER.set("ada");
/// let task = task::spawn(async { USER.get() });
/// assert_eq!(task.await.unwrap(), "ada");
/// # }
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::task::spawn(inherit::future(future))
}

/// [`tokio::spawn`] in an empty context, for work that outlives what it was started by: a cache that is refreshed, a
/// connection that goes back to its pool. It keeps no value alive.
///
/// Where it needs some of the values, take those along:
/// `tokio::spawn(copy_context().only(&[&TENANT]).scope(f))` (see [`Context::only`]).
///
/// # Panics
///
/// As tokio's: outside of a runtime.
///
/// # Examples
///
/// ```
/// use contextvar::{ContextVar, task};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// USER.set("ada");
/// let task = task::spawn_in_empty_context(async {
///     assert!(!USER.is_set());
///     // It has a context, if an empty one.
///     USER.set("nobody");
/// });
/// task.await.unwrap();
/// # }
/// ```
#[track_caller]
pub fn spawn_in_empty_context<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::task::spawn(future.in_context(Context::new()))
}

/// [`tokio::task::spawn_blocking`] in a copy of the current context: `asyncio.to_thread(f)`.
///
/// # Panics
///
/// As tokio's: outside of a runtime.
///
/// # Examples
///
/// ```
/// use contextvar::{ContextVar, task};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// USER.set("ada");
/// let task = task::spawn_blocking(|| USER.get());
/// assert_eq!(task.await.unwrap(), "ada");
/// # }
/// ```
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    tokio::task::spawn_blocking(inherit::closure(f))
}

/// [`spawn_blocking`] that gives its context too, as [`Scoped::and_context`](crate::Scoped::and_context) does. What
/// `f` has set can be made to count here with [`Context::apply_changes_to_current`].
///
/// # Panics
///
/// As tokio's: outside of a runtime.
///
/// # Examples
///
/// ```
/// use contextvar::{ContextVar, copy_context, task};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let base = copy_context();
/// let login = task::spawn_blocking_returning_context(|| { USER.set("ada"); });
/// let ((), ctx) = login.await.unwrap();
/// assert!(!USER.is_set());
///
/// ctx.apply_changes_to_current(&base);
/// assert_eq!(USER.get(), "ada");
/// # }
/// ```
#[track_caller]
pub fn spawn_blocking_returning_context<F, R>(f: F) -> JoinHandle<(R, Context)>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    tokio::task::spawn_blocking(inherit::closure_and_context(f))
}

/// [`tokio::task::spawn_local`] in a copy of the current context.
///
/// # Panics
///
/// As tokio's: outside of a [`LocalSet`](tokio::task::LocalSet) and a local runtime.
///
/// # Examples
///
/// ```
/// use contextvar::{ContextVar, task};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let local = tokio::task::LocalSet::new();
/// local.run_until(async {
///     USER.set("ada");
///     let task = task::spawn_local(async { USER.get() });
///     assert_eq!(task.await.unwrap(), "ada");
/// }).await;
/// # }
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    tokio::task::spawn_local(inherit::future(future))
}
