//! The functions of [`std::thread`] that start threads, with the context carried along.
//!
//! Each takes the same arguments as std's function and returns the same. Each runs its closure in a copy of
//! the current context without the variables that are [not inherited](crate::ContextVar::inherit). The copy
//! is taken in the caller, at the call. With feature `carry`, the closure also runs in the ambient values of
//! other libraries that are current at the call.

use std::fmt;
use std::io;
use std::thread::{self, JoinHandle, ScopedJoinHandle};

use crate::inherit;

/// Spawns a thread whose closure runs in a copy of the current context: [`std::thread::spawn`] with the
/// context.
///
/// # Panics
///
/// Panics if the system cannot start a thread, as std's function does. [`Builder::spawn`] returns an error
/// instead.
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
#[cfg_attr(feature = "inspect", track_caller)]
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    thread::spawn(inherit::thread_main(f))
}

/// Calls `f` with a scope whose threads each run in a copy of the context that is current where they are
/// spawned: [`std::thread::scope`] with the context.
///
/// The closure takes a [`Scope`] by value (it is `Copy`), whereas std's takes a reference. A thread that
/// spawns further threads captures it with `move`.
///
/// # Panics
///
/// Panics if a thread that was not joined has panicked, as std's function does.
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

/// A [`std::thread::Scope`] whose threads carry the context. Made by [`scope`].
///
/// ```
/// use contextvar::{ContextVar, thread};
///
/// static DEPTH: ContextVar<u32> = ContextVar::with_default("depth", || 0);
///
/// thread::scope(|s| {
///     DEPTH.set(1);
///     s.spawn(move || {
///         // A thread that spawns others captures `s`.
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
    /// Spawns a thread whose closure runs in a copy of the current context: [`std::thread::Scope::spawn`]
    /// with the context.
    ///
    /// # Panics
    ///
    /// Panics if the system cannot start a thread, as std's method does. [`Builder::spawn_scoped`] returns an
    /// error instead.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn spawn<F, T>(self, f: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.scope.spawn(inherit::thread_main(f))
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.scope.fmt(f)
    }
}

/// A [`std::thread::Builder`] whose threads carry the context.
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
    /// Returns a builder with std's defaults. See [`std::thread::Builder::new`].
    #[expect(clippy::new_without_default, reason = "std's has none")]
    pub fn new() -> Self {
        Builder { builder: thread::Builder::new() }
    }

    /// Sets the name of the thread. See [`std::thread::Builder::name`].
    pub fn name(self, name: String) -> Self {
        Builder { builder: self.builder.name(name) }
    }

    /// Sets the size of the thread's stack, in bytes. See [`std::thread::Builder::stack_size`].
    pub fn stack_size(self, size: usize) -> Self {
        Builder { builder: self.builder.stack_size(size) }
    }

    /// Spawns a thread whose closure runs in a copy of the current context: [`std::thread::Builder::spawn`]
    /// with the context.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start a thread, as std's method does.
    ///
    /// # Panics
    ///
    /// Panics if the name contains a NUL byte, as std's method does.
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.builder.spawn(inherit::thread_main(f))
    }

    /// Spawns a thread in a [`Scope`] whose closure runs in a copy of the current context:
    /// [`std::thread::Builder::spawn_scoped`] with the context.
    ///
    /// # Errors
    ///
    /// Returns an error if the system cannot start a thread, as std's method does.
    ///
    /// # Panics
    ///
    /// Panics if the name contains a NUL byte, as std's method does.
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
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: Scope<'scope, '_>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.builder.spawn_scoped(scope.scope, inherit::thread_main(f))
    }
}
