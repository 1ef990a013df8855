//! [`std::thread`]'s functions that start threads, each carrying the context along.
//!
//! They take and give what std's do. Each runs its closure in a copy of the current context, taken in the
//! caller, at the call, without the variables that are [not inherited](crate::ContextVar::inherit). Below that copy the thread has a context of its own, empty at first.

use std::fmt;
use std::io;
use std::thread::{self, JoinHandle, ScopedJoinHandle};

use crate::inherit;

/// [`std::thread::spawn`] in a copy of the current context.
///
/// # Panics
///
/// As std's: if the system can't start a thread. [`Builder::spawn`] gives an error instead.
///
/// # Examples
///
/// ```
/// use contextvar::{ContextVar, thread};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let thread = thread::spawn(|| USER.get());
/// assert_eq!(thread.join().unwrap(), "ada");
/// ```
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    thread::spawn(inherit::closure(f))
}

/// [`std::thread::scope`] whose threads each run in a copy of the context that is current where they are
/// spawned.
///
/// The closure gets a [`Scope`] by value where std gives a reference; it is `Copy`. A thread that spawns
/// further ones takes it along with `move`.
///
/// # Panics
///
/// As std's: if a thread panicked that was not joined.
///
/// # Examples
///
/// ```
/// use contextvar::{ContextVar, thread};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let greeting = String::from("hello");
/// thread::scope(|s| {
///     let thread = s.spawn(|| format!("{greeting}, {}", USER.get()));
///     assert_eq!(thread.join().unwrap(), "hello, ada");
/// });
/// ```
#[track_caller]
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(Scope<'scope, 'env>) -> T,
{
    thread::scope(|scope| f(Scope { scope }))
}

/// [`std::thread::Scope`] whose threads carry the context. Made by [`scope`].
///
/// ```
/// use contextvar::{ContextVar, thread};
///
/// static DEPTH: ContextVar<u32> = ContextVar::with_default("depth", || 0);
///
/// thread::scope(|s| {
///     DEPTH.set(1);
///     s.spawn(move || {
///         // A thread that spawns others takes `s` along.
///         DEPTH.set(2);
///         s.spawn(|| assert_eq!(DEPTH.get(), 2));
///     });
/// });
/// ```
#[derive(Clone, Copy)]
pub struct Scope<'scope, 'env> {
    scope: &'scope thread::Scope<'scope, 'env>,
}

impl<'scope> Scope<'scope, '_> {
    /// [`std::thread::Scope::spawn`] in a copy of the current context.
    ///
    /// # Panics
    ///
    /// As std's: if the system can't start a thread. [`Builder::spawn_scoped`] gives an error instead.
    pub fn spawn<F, T>(self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.scope.spawn(inherit::closure(f))
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.scope.fmt(f)
    }
}

/// [`std::thread::Builder`] whose threads carry the context.
///
/// ```
/// use contextvar::{ContextVar, thread};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let thread = thread::Builder::new().name("worker".to_owned()).spawn(|| USER.get()).unwrap();
/// assert_eq!(thread.join().unwrap(), "ada");
/// ```
#[derive(Debug)]
#[must_use = "a builder starts no thread until its `spawn` is called"]
pub struct Builder {
    builder: thread::Builder,
}

impl Builder {
    /// [`std::thread::Builder::new`].
    #[expect(clippy::new_without_default, reason = "std's has none")]
    pub fn new() -> Self {
        Builder { builder: thread::Builder::new() }
    }

    /// [`std::thread::Builder::name`].
    pub fn name(self, name: String) -> Self {
        Builder { builder: self.builder.name(name) }
    }

    /// [`std::thread::Builder::stack_size`], in bytes.
    pub fn stack_size(self, size: usize) -> Self {
        Builder { builder: self.builder.stack_size(size) }
    }

    /// [`std::thread::Builder::spawn`] in a copy of the current context.
    ///
    /// # Errors
    ///
    /// As std's: if the system can't start a thread.
    ///
    /// # Panics
    ///
    /// As std's: if the name has a NUL byte in it.
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.builder.spawn(inherit::closure(f))
    }

    /// [`std::thread::Builder::spawn_scoped`] in a copy of the current context.
    ///
    /// # Errors
    ///
    /// As std's: if the system can't start a thread.
    ///
    /// # Panics
    ///
    /// As std's: if the name has a NUL byte in it.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::{ContextVar, thread};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// USER.set("ada");
    /// let mut user = "";
    /// thread::scope(|s| {
    ///     thread::Builder::new().spawn_scoped(s, || user = USER.get()).unwrap();
    /// });
    /// assert_eq!(user, "ada");
    /// ```
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: Scope<'scope, '_>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.builder.spawn_scoped(scope.scope, inherit::closure(f))
    }
}
