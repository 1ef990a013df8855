//! The functions of [`tokio::task`] that start work, with the context carried along.
//!
//! Each takes the same arguments as tokio's function. Unless its name indicates otherwise, it runs its work
//! in a copy of the current context without the variables that are
//! [not inherited](crate::ContextVar::inherit). The copy is taken in the caller, at the call. With feature
//! `carry`, the work also runs in the ambient values of other libraries that are current at the call.
//!
//! A task that plain `tokio::spawn` starts has no context: no variable is set there, and `try_set` returns a
//! [`SetError`](crate::SetError).

use tokio::task::JoinHandle;

use crate::context::Context;
use crate::hand_over::{Kind, Place};
use crate::inherit;
use crate::scoped::Scoped;

/// Spawns a task that runs in a copy of the current context: [`tokio::spawn`] with the context, asyncio's
/// `create_task(f())`.
///
/// Do not use it for a server's task for a connection: all requests of the connection would share the task's
/// context, and see what the last one has set. Use plain [`tokio::spawn`] there, and give each request a
/// context with `contextvar::tower::ContextLayer` or `contextvar::hyper::ContextService`.
///
/// # Panics
///
/// Panics outside of a tokio runtime, as tokio's function does.
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
#[inline]
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::task::spawn(inherit::scope(Kind::Task, future))
}

/// Spawns a task that runs in an empty context: [`tokio::spawn`] for work that outlives the request that
/// started it, such as the refresh of a cache. The task keeps no value of the current context alive, and
/// carries no ambient values of other libraries along.
///
/// If the task needs some of the values, pick them with [`Context::only`]:
/// `tokio::spawn(copy_context().only(&[&TENANT]).scope(f))`.
///
/// # Panics
///
/// Panics outside of a tokio runtime, as tokio's function does.
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
///     // The task has a context of its own, which it can write.
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
    let context = Context::new_for_other_work(Kind::Task, Place::here());
    tokio::task::spawn(Scoped::new(context, future))
}

/// Runs a blocking closure in a copy of the current context: [`tokio::task::spawn_blocking`] with the
/// context, asyncio's `to_thread(f)`.
///
/// # Panics
///
/// Panics outside of a tokio runtime, as tokio's function does.
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
    tokio::task::spawn_blocking(inherit::closure(Kind::BlockingCall, f))
}

/// Runs a blocking closure in a copy of the current context and returns the copy with the closure's result,
/// as [`Scoped::and_context`](crate::Scoped::and_context) does for futures.
///
/// [`Context::apply_changes_to_current`] applies the values that the closure has set to the caller's context.
///
/// # Panics
///
/// Panics outside of a tokio runtime, as tokio's function does.
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
    tokio::task::spawn_blocking(inherit::closure_returning_context(f))
}

/// Spawns a local task that runs in a copy of the current context: [`tokio::task::spawn_local`] with the
/// context.
///
/// # Panics
///
/// Panics outside of a [`LocalSet`](tokio::task::LocalSet) or a local runtime, as tokio's function does.
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
    tokio::task::spawn_local(inherit::scope(Kind::Task, future))
}
