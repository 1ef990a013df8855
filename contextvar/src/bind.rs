use crate::context::Context;
use crate::hand_over::{Kind, Place};
use crate::scoped::Scoped;

/// Closures that other code calls, later or elsewhere.
///
/// The caller does not see what a closure sets. If the returned closure is dropped without a call, `f` is
/// dropped in this context. A panic in `f` propagates after the thread's context has been restored.
impl Context {
    /// Wraps a closure so that it runs in this context, for functions that take a `FnOnce()` to call it later
    /// or elsewhere. If the returned closure is dropped without a call, `f` is dropped in this context.
    ///
    /// If `f` returns a future, the future does not run in this context. Use [`bind_async`](Self::bind_async)
    /// for such a closure. For a closure with an argument, use [`bind_with`](Self::bind_with) or
    /// [`bind_mut`](Self::bind_mut).
    ///
    /// ```
    /// use contextvar::{ContextVar, inherit_context};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # #[cfg(feature = "tokio")] {
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// USER.set("ada");
    /// let mut tasks = tokio::task::JoinSet::new();
    /// tasks.spawn_blocking(inherit_context().bind(|| USER.get()));
    /// assert_eq!(tasks.join_all().await, ["ada"]);
    /// # }
    /// # main();
    /// # }
    /// ```
    #[must_use = "closures do nothing unless they are called"]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn bind<F, R>(self, f: F) -> impl FnOnce() -> R
    where
        F: FnOnce() -> R,
    {
        let scope = Scoped::new(self.hand_over(Kind::Closure, Place::here()), f);
        move || scope.call(|f| f())
    }

    /// Wraps a closure with an argument so that it runs in this context. Otherwise does the same as
    /// [`bind`](Self::bind).
    ///
    /// Write the argument's type, or pass a function. rustc cannot infer the type from the code that calls
    /// the closure. For a closure whose argument is a `&mut` reference, use [`bind_mut`](Self::bind_mut).
    ///
    /// ```
    /// use std::thread;
    ///
    /// use contextvar::{ContextVar, inherit_context};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// /// Calls `f` on another thread, with the thread's name.
    /// fn on_thread(f: impl FnOnce(&'static str) -> String + Send + 'static) -> String {
    ///     thread::spawn(|| f("worker")).join().unwrap()
    /// }
    ///
    /// USER.set("ada");
    /// let greet = |thread: &'static str| format!("{} on {thread}", USER.get());
    /// assert_eq!(on_thread(inherit_context().bind_with(greet)), "ada on worker");
    /// ```
    #[must_use = "closures do nothing unless they are called"]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn bind_with<A, F, R>(self, f: F) -> impl FnOnce(A) -> R
    where
        F: FnOnce(A) -> R,
    {
        let scope = Scoped::new(self.hand_over(Kind::Closure, Place::here()), f);
        move |argument| scope.call(|f| f(argument))
    }

    /// Wraps a closure that takes a `&mut` reference so that it runs in this context, for functions that lend
    /// a value to the closure, such as deadpool's `interact`. Otherwise does the same as
    /// [`bind`](Self::bind).
    ///
    /// Write the argument's type, or pass a function. rustc cannot infer the type from the code that calls
    /// the closure.
    ///
    /// ```
    /// use std::thread;
    ///
    /// use contextvar::{ContextVar, inherit_context};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// type Connection = Vec<String>;
    ///
    /// /// Lends a connection to `f` on another thread, and returns the connection.
    /// fn interact(f: impl FnOnce(&mut Connection) + Send + 'static) -> Connection {
    ///     let mut connection = Connection::new();
    ///     thread::spawn(|| { f(&mut connection); connection }).join().unwrap()
    /// }
    ///
    /// USER.set("ada");
    /// let insert = |connection: &mut Connection| connection.push(format!("inserted by {}", USER.get()));
    /// assert_eq!(interact(inherit_context().bind_mut(insert)), ["inserted by ada"]);
    /// ```
    #[must_use = "closures do nothing unless they are called"]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn bind_mut<A, F, R>(self, f: F) -> impl FnOnce(&mut A) -> R
    where
        A: ?Sized,
        F: FnOnce(&mut A) -> R,
    {
        let scope = Scoped::new(self.hand_over(Kind::Closure, Place::here()), f);
        move |argument: &mut A| scope.call(|f| f(argument))
    }

    /// Wraps a closure that makes a future. The closure runs in this context, and so does the future. The
    /// future sees what the closure sets.
    ///
    /// Use it with functions that call the closure elsewhere and run the future there, such as `spawn_pinned`
    /// of tokio-util's `LocalPoolHandle`. [`bind`](Self::bind) would give the context to the closure and not
    /// to the future.
    ///
    /// If the returned closure is dropped without a call, `f` is dropped in this context.
    ///
    /// Code that calls a closure many times, such as a scheduler, needs a `Fn`. Write
    /// `move || ctx.clone().scope(f())`: each future runs in a copy of its own, and `f` makes the future
    /// outside of the context. If `f` itself reads variables, write `move || ctx.clone().bind_async(&f)()`.
    ///
    /// ```
    /// use std::thread;
    ///
    /// use contextvar::{ContextVar, inherit_context};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// /// Makes a future on another thread, and runs it there.
    /// fn spawn_pinned<Fut>(make: impl FnOnce() -> Fut + Send + 'static) -> Fut::Output
    /// where
    ///     Fut: Future<Output: Send> + 'static,
    /// {
    ///     thread::spawn(|| futures::executor::block_on(make())).join().unwrap()
    /// }
    ///
    /// USER.set("ada");
    /// assert_eq!(spawn_pinned(inherit_context().bind_async(|| async { USER.get() })), "ada");
    /// ```
    #[must_use = "closures do nothing unless they are called"]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn bind_async<F, Fut>(self, f: F) -> impl FnOnce() -> Scoped<Fut>
    where
        F: FnOnce() -> Fut,
        Fut: Future,
    {
        let scope = Scoped::new(self.hand_over(Kind::Closure, Place::here()), f);
        move || scope.call_and_scope(|f| f())
    }

    /// Wraps a closure with an argument that makes a future, such as the callback of axum's
    /// `WebSocketUpgrade::on_upgrade` or the handler of a message. The closure runs in this context, and so
    /// does the future. Otherwise does the same as [`bind_async`](Self::bind_async).
    ///
    /// Write the argument's type, or pass a function. rustc cannot infer the type from the code that calls
    /// the closure. A closure whose body is an async block can do without: write
    /// `move |x| ctx.scope(async move { .. })`.
    ///
    /// Code that calls a handler many times, such as a message consumer, needs a `Fn`. Write
    /// `move |x| ctx.clone().scope(f(x))`: each future runs in a copy of its own, and `f` makes the future
    /// outside of the context. If `f` itself reads variables, write
    /// `move |x| ctx.clone().bind_async_with(&f)(x)`.
    ///
    /// ```
    /// use std::thread;
    ///
    /// use contextvar::{ContextVar, inherit_context};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// struct WebSocket(u64);
    ///
    /// /// Passes a socket to `handle` on another thread, and runs the future there.
    /// fn on_upgrade<Fut>(handle: impl FnOnce(WebSocket) -> Fut + Send + 'static) -> Fut::Output
    /// where
    ///     Fut: Future<Output: Send> + 'static,
    /// {
    ///     thread::spawn(|| futures::executor::block_on(handle(WebSocket(7)))).join().unwrap()
    /// }
    ///
    /// async fn greet(socket: WebSocket) -> String {
    ///     format!("hello {} on socket {}", USER.get(), socket.0)
    /// }
    ///
    /// USER.set("ada");
    /// assert_eq!(on_upgrade(inherit_context().bind_async_with(greet)), "hello ada on socket 7");
    /// ```
    #[must_use = "closures do nothing unless they are called"]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn bind_async_with<A, F, Fut>(self, f: F) -> impl FnOnce(A) -> Scoped<Fut>
    where
        F: FnOnce(A) -> Fut,
        Fut: Future,
    {
        let scope = Scoped::new(self.hand_over(Kind::Closure, Place::here()), f);
        move |argument| scope.call_and_scope(|f| f(argument))
    }
}
