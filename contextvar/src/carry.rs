//! Carries ambient values of other libraries along, wherever this crate hands work to another task or thread.
//!
//! Many libraries keep an ambient value in a thread-local: the hub of an error reporter, the current span, a
//! `tokio::task_local!`. Such a value is lost at each spawn. [Register](register) how to capture and enter
//! the value, once, and the value follows wherever a context follows:
//!
//! ```
//! use std::cell::RefCell;
//!
//! use contextvar::carry::{self, Ambient};
//! use contextvar::thread;
//!
//! // A library that keeps its user in a thread-local.
//! thread_local! {
//!     static USER: RefCell<Option<String>> = const { RefCell::new(None) };
//! }
//!
//! /// Restores the previous user when it is dropped.
//! struct Login(Option<String>);
//!
//! impl Drop for Login {
//!     fn drop(&mut self) {
//!         USER.set(self.0.take());
//!     }
//! }
//!
//! fn login(user: &str) -> Login {
//!     Login(USER.replace(Some(user.to_owned())))
//! }
//!
//! // In `main`:
//! carry::register(Ambient::guarded(|| USER.with_borrow(Clone::clone), |user| login(user)));
//!
//! let _login = login("ada");
//! let thread = thread::spawn(|| USER.take());
//! assert_eq!(thread.join().unwrap().as_deref(), Some("ada"));
//! ```
//!
//! # Where values are carried
//!
//! - In [`task`](crate::task), except `spawn_in_empty_context`, and in [`thread`](crate::thread).
//! - In [`in_inherited_context`](crate::InContext::in_inherited_context) of futures and streams.
//! - In the tasks of `contextvar::hyper::ContextExecutor`.
//! - On runtimes with the hooks of `contextvar::runtime`, except the values of [`Ambient::scoped`]: a hook can
//!   enter and leave a value, and not run a task's poll inside of a function.
//! - In closures that [`bind`] wraps, for thread pools and other code that calls a closure elsewhere.
//!
//! A value is captured in the caller, at the call. It is entered at each poll or call of the work, and while
//! the work is dropped. Values that were registered earlier are around those that were registered later.
//!
//! Everything else keeps the work in its task or thread, in whose surroundings it runs, and carries nothing:
//! [`in_copied_context`](crate::InContext::in_copied_context), [`Context::scope`](crate::Context::scope),
//! [`Context::bind`](crate::Context::bind), and the attributes. To carry values into a closure, write
//! [`carry::bind(f)`](bind) instead of `inherit_context().bind(f)`.
//!
//! # Built-in values
//!
//! Two values are carried without being registered. They are around all others:
//!
//! - With feature `opentelemetry`, OpenTelemetry's current context.
//! - With feature `tracing`, the current span.
//!
//! They never mix: work that was handed over where there was no span and no OpenTelemetry context sees none,
//! even if it is polled inside the span or the OpenTelemetry context of other work. To hide a span, the work's
//! poll exits the spans around it, and enters them again.
//!
//! There is one exception. From the ninth poll on, work that was handed over in an empty OpenTelemetry context
//! can see values that other crates have put into the context of the code that polls, as with plain
//! `tokio::spawn`. Spans, baggage and the flag that suppresses telemetry stay hidden, and so does all that is in
//! the same context as one of these.
//!
//! [`task_local`] and [`default_subscriber`] are ready to be registered.
//!
//! # Panics
//!
//! A panic while a value is captured propagates to the code that hands the work over, and the work never
//! runs. A panic while a value is entered or left propagates through the poll or the call. While work is
//! dropped, such a panic is discarded, and the work is dropped outside of the values.
//!
//! A panic of the work itself passes through, after all values have been left.
//!
//! A thread that is exiting captures nothing. If it has captured nothing before, this crate cannot see that
//! the thread is exiting, and captures what it can. A value whose thread-local is gone is then left out: the
//! panic of `LocalKey::with` is discarded, after the panic hook has run.
//!
//! # Re-entrancy
//!
//! The closures of an [`Ambient`] can use this crate, register, and hand work over. That work carries the
//! built-in values, and none that are registered.
//!
//! # Cost
//!
//! Each captured value takes one allocation, and all values of a future or a stream take one more. Where nothing
//! is captured, a spawn takes no allocation. A poll tests whether its work carries values. This test can keep
//! rustc from inlining the future's own poll, which takes up to ten instructions.
//!
//! With feature `tracing`, each poll of work without a span looks for spans around it. That takes about 15
//! instructions as long as no subscriber is interested in spans, and about 70 with one.
//!
//! With feature `opentelemetry` its context is always captured, which takes an allocation for each future, and
//! attached at each poll, which takes about 240 instructions. The eighth poll finds out whether the context is
//! empty. The later polls attach an empty context only where that hides something. The test takes about 80
//! instructions. OpenTelemetry's API does not show whether a context is empty. It shows the span, the baggage
//! and the flag of a context, but no values of other types, except in `Debug`, which takes 600 instructions.

mod built_in;
mod carried;
mod registry;

use std::fmt;

#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub(crate) use carried::Guards;
pub(crate) use carried::{Bound, Carried};
use registry::Capture;

use crate::hand_over::Kind;

/// An ambient value of another library: how to capture it, and how to run work inside of it. See [`register`].
///
/// The value must be `Send + Sync + 'static`, since it travels to another thread. Where there is nothing to
/// carry, `capture` returns `None`. The work then sees the value that is current where it is polled.
pub struct Ambient {
    capture: Box<dyn Capture>,
}

impl Ambient {
    /// Makes an ambient value that a guard enters and leaves. The guard is dropped on the thread that made it,
    /// so it need not be `Send`.
    ///
    /// ```
    /// use contextvar::carry::Ambient;
    /// # use std::cell::Cell;
    /// # thread_local! { static DEPTH: Cell<u32> = const { Cell::new(0) }; }
    /// # struct Restore(u32);
    /// # impl Drop for Restore { fn drop(&mut self) { DEPTH.set(self.0); } }
    /// # fn enter(depth: u32) -> Restore { Restore(DEPTH.replace(depth)) }
    ///
    /// let ambient = Ambient::guarded(|| Some(DEPTH.get()), |depth| enter(*depth));
    /// contextvar::carry::register(ambient);
    /// ```
    pub fn guarded<V, G>(
        capture: impl Fn() -> Option<V> + Send + Sync + 'static,
        enter: impl Fn(&V) -> G + Send + Sync + 'static,
    ) -> Ambient
    where
        V: Send + Sync + 'static,
        G: 'static,
    {
        Ambient { capture: registry::guarded(capture, enter) }
    }

    /// Makes an ambient value of a library that enters its values with a function that runs a closure, as
    /// `LocalKey::sync_scope` does.
    ///
    /// `run` must call its second argument, the work, once. If `run` returns without calling the work, the
    /// work runs outside of the value. A second call does nothing.
    ///
    /// Runtimes with hooks do not carry such a value.
    ///
    /// ```
    /// use contextvar::carry::Ambient;
    /// # struct Hub;
    /// # impl Hub {
    /// #     fn current() -> std::sync::Arc<Hub> { std::sync::Arc::new(Hub) }
    /// #     fn run<R>(_: std::sync::Arc<Hub>, f: impl FnOnce() -> R) -> R { f() }
    /// # }
    ///
    /// let ambient = Ambient::scoped(|| Some(Hub::current()), |hub, work| Hub::run(hub.clone(), work));
    /// contextvar::carry::register(ambient);
    /// ```
    pub fn scoped<V>(
        capture: impl Fn() -> Option<V> + Send + Sync + 'static,
        run: impl Fn(&V, &mut dyn FnMut()) + Send + Sync + 'static,
    ) -> Ambient
    where
        V: Send + Sync + 'static,
    {
        Ambient { capture: registry::scoped(capture, run) }
    }
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ambient").finish_non_exhaustive()
    }
}

/// Carries an ambient value along from now on, in the whole process. Work that was handed over before does not
/// carry it.
///
/// A value cannot be removed. Register each one once: a second registration carries the value twice. Call it
/// in `main`, and not in a library.
///
/// ```
/// use contextvar::carry::{self, Ambient};
///
/// // For each spawn, a note of the thread that spawned.
/// let ambient = Ambient::guarded(|| Some(std::thread::current().id()), |spawner| drop(*spawner));
/// carry::register(ambient);
/// ```
pub fn register(ambient: Ambient) {
    registry::register(ambient);
}

/// Wraps a closure so that it runs in a copy of the current context and in the ambient values that are
/// current now, as the closure of [`thread::spawn`](crate::thread::spawn) does. For functions that call a
/// closure on another thread: those of rayon and of other thread pools, and `JoinSet::spawn_blocking`.
///
/// The copy leaves out the variables that are [not inherited](crate::ContextVar::inherit). The caller does
/// not see what the closure sets. If the returned closure is dropped without a call, `f` is dropped in the
/// context and in the values.
///
/// If `f` returns a future, the future does not run in them. Make the future first, and pass
/// [`future.in_inherited_context()`](crate::InContext::in_inherited_context). To carry only the context, use
/// [`Context::bind`](crate::Context::bind).
///
/// # Panics
///
/// Panics if the capture of a value panics. The returned closure panics if `f` does, or if a value cannot be
/// entered or left.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use std::sync::mpsc;
/// use std::thread;
///
/// use contextvar::ContextVar;
/// use contextvar::carry::{self, Ambient};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// // A library's ambient value.
/// thread_local! {
///     static DEPTH: Cell<u32> = const { Cell::new(0) };
/// }
///
/// struct Restore(u32);
///
/// impl Drop for Restore {
///     fn drop(&mut self) {
///         DEPTH.set(self.0);
///     }
/// }
///
/// carry::register(Ambient::guarded(|| Some(DEPTH.get()), |depth| Restore(DEPTH.replace(*depth))));
///
/// // A pool with one thread.
/// let (pool, jobs) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
/// let worker = thread::spawn(|| jobs.into_iter().for_each(|job| job()));
///
/// USER.set("ada");
/// DEPTH.set(3);
/// pool.send(Box::new(carry::bind(|| assert_eq!((USER.get(), DEPTH.get()), ("ada", 3))))).unwrap();
/// pool.send(Box::new(|| assert_eq!((USER.is_set(), DEPTH.get()), (false, 0)))).unwrap();
/// drop(pool);
/// worker.join().unwrap();
/// ```
#[must_use = "closures do nothing unless they are called"]
#[cfg_attr(feature = "inspect", track_caller)]
pub fn bind<F, R>(f: F) -> impl FnOnce() -> R
where
    F: FnOnce() -> R,
{
    crate::inherit::closure(Kind::Closure, f)
}

/// Returns the ambient value of a `tokio::task_local!`, of any crate. Where the task-local is set, a clone of
/// its value follows.
///
/// ```
/// use contextvar::{carry, task};
///
/// tokio::task_local! {
///     static USER: String;
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// carry::register(carry::task_local(&USER));
///
/// USER.scope("ada".to_owned(), async {
///     let task = task::spawn(async { USER.get() });
///     assert_eq!(task.await.unwrap(), "ada");
/// }).await;
/// # }
/// ```
#[cfg(feature = "tokio")]
pub fn task_local<T>(key: &'static tokio::task::LocalKey<T>) -> Ambient
where
    T: Clone + Send + Sync + 'static,
{
    Ambient::scoped(|| key.try_with(Clone::clone).ok(), |value, work| key.sync_scope(value.clone(), work))
}

/// Returns the ambient value of tracing's default subscriber, as [`with_default`] and [`set_default`] set it for
/// a thread. For tests: each test's subscriber sees the events of the tasks and threads that the test starts.
///
/// The global default is not carried, since it is the same on all threads.
///
/// [`with_default`]: ::tracing::subscriber::with_default
/// [`set_default`]: ::tracing::subscriber::set_default
///
/// ```
/// use contextvar::{carry, thread};
/// use tracing_subscriber::registry::Registry;
///
/// carry::register(carry::default_subscriber());
///
/// tracing::subscriber::with_default(Registry::default(), || {
///     let thread = thread::spawn(|| tracing::dispatcher::get_default(|it| it.is::<Registry>()));
///     assert!(thread.join().unwrap());
/// });
/// ```
#[cfg(feature = "tracing")]
pub fn default_subscriber() -> Ambient {
    Ambient::guarded(built_in::scoped_subscriber, ::tracing::dispatcher::set_default)
}
