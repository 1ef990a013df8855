//! One context for Python and Rust: a request's variables have the same values in both languages.
//!
//! Tie each variable to a Python `ContextVar` with `#[context_var(python = "package.module:NAME")]`. Then mark where
//! one language calls the other; one mark covers all variables. On a function that Python calls, write
//! [`#[with_copied_context(python)]`](macro@crate::with_copied_context), or use [`run`] or [`coroutine`] in its body.
//! Where Rust calls Python, use [`call`] or [`call_async`].
//!
//! ```standalone_crate
//! use contextvar::{context_var, python, with_copied_context};
//! use pyo3::prelude::*;
//! # use pyo3::types::PyModule;
//!
//! #[context_var(python = "app:USER")]
//! static USER: String;
//!
//! /// Sees the value that Python has set.
//! #[pyfunction]
//! #[with_copied_context(python)]
//! fn greet() -> PyResult<String> {
//!     Ok(format!("hello, {}", USER.get()))
//! }
//!
//! /// Calls a Python function, which sees the value that Rust has set.
//! #[pyfunction]
//! #[with_copied_context(python)]
//! fn call_as_grace<'py>(py: Python<'py>, function: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
//!     USER.set("grace".to_owned());
//!     python::call(|_| function.call0())
//! }
//!
//! # fn main() -> PyResult<()> {
//! # Python::initialize();
//! # Python::attach(|py| {
//! #     let code = cr#"
//! # from contextvars import ContextVar
//! # USER = ContextVar("user")
//! # def test(greet, call_as_grace):
//! #     USER.set("ada")
//! #     assert greet() == "hello, ada"
//! #     assert call_as_grace(USER.get) == "grace"
//! #     assert USER.get() == "ada"
//! # "#;
//! #     let app = PyModule::from_code(py, code, c"app.py", c"app")?;
//! #     app.getattr("test")?.call1((wrap_pyfunction!(greet, py)?, wrap_pyfunction!(call_as_grace, py)?))?;
//! #     Ok(())
//! # })
//! # }
//! ```
//!
//! From Python:
//!
//! ```python
//! USER = ContextVar("user")
//! USER.set("ada")
//! assert greet() == "hello, ada"
//! assert call_as_grace(USER.get) == "grace"
//! assert USER.get() == "ada"
//! ```
//!
//! # Which function
//!
//! | To | use |
//! |---|---|
//! | run a function that Python calls in its caller's context | `#[with_copied_context(python)]`, or [`run`] in its body |
//! | await futures of tokio in a function that Python awaits | [`coroutine`] in its body |
//! | write such a function as an `async fn` without tokio (PyO3's feature `experimental-async`) | `#[with_copied_context(python)]` |
//! | hand work over in another way | [`copy_context`] |
//! | call a Python function | [`call`] |
//! | await a Python coroutine | [`call_async`] |
//!
//! # Setup
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! contextvar = { version = "0.1", features = ["python"] }
//! pyo3 = "0.30"
//! ```
//!
//! PyO3 must be able to convert a tied variable's type: the type implements `FromPyObject`, and a reference to it, or a
//! clone of it, implements `IntoPyObject`. That holds for `String`, numbers, `Option`, `Vec`, maps, `Py<..>`, and types
//! with PyO3's derives. Write a [`Codec`] for others.
//!
//! The first call that crosses imports the modules of all tied variables. If one variable does not exist, every call
//! that crosses fails with an exception that names it.
//!
//! `examples/python` in the repository is a FastAPI application with an extension module. `docs/python.md` lists the
//! costs.
//!
//! This module requires PyO3 0.30 and pyo3-async-runtimes 0.30. Their types are part of its API, so support for a later
//! version of them needs a later version of this crate. Extension modules for the stable ABI (PyO3's features `abi3`
//! and `abi3-py*`) cannot use this module: the stable ABI lacks CPython's functions for contexts.
//!
//! # What crosses
//!
//! | | into Rust | back into Python |
//! |---|---|---|
//! | a tied variable that is set | its value, converted | the same object, or the converted value if Rust has changed it |
//! | a tied variable that is not set | not set, even if Python's variable has a default | not set |
//! | a Rust variable that is not tied | not set, unless an outer Rust caller or [applied changes](#changes) have set it | invisible to Python code, but visible to Rust functions that the Python code calls |
//! | a Python variable that is not tied | invisible to Rust code, but visible to Python functions that the Rust code calls | as it was in the caller |
//!
//! Values are converted when a call crosses, not when a variable is read. So no read takes the GIL, and tasks and
//! threads that Rust starts see the values without Python. All rules of this crate apply to the values:
//! [`task`](crate::task) and [`thread`](crate::thread) hand them on; [`inherit(false)`](crate::ContextVar::inherit)
//! keeps a value in its task, and hides it from Python code that another task calls; the messages of this module never
//! show a [`secret`](crate::ContextVar::secret) value.
//!
//! # Changes
//!
//! Calls are isolated: the caller does not see what the called function sets. To let the caller see the changes, ask
//! for it where the call crosses: `#[with_copied_context(python, apply_changes)]`, [`run_applying_changes`],
//! [`coroutine_applying_changes`], [`call_applying_changes`], [`call_async_applying_changes`]. The changes are applied
//! when the function returns or fails. They are not applied when the caller cancels the function, or when it panics.
//!
//! Objects that Python code has set come back as the same objects.
//!
//! Python cannot unset a variable in the context that called Rust. If Rust has unset one, all other changes are
//! applied, and the call fails with a `RuntimeError` that names the variable.
//!
//! # Coroutines
//!
//! | in Python | in Rust |
//! |---|---|
//! | `await f()`, where `f` returns a [`coroutine`] | the future runs on the tokio runtime of pyo3-async-runtimes, in a copy of the context of the task that awaits the coroutine |
//! | `await f()`, where `f` is an `async fn` with PyO3's feature `experimental-async` and `#[with_copied_context(python)]` | the future is polled on the thread of the event loop, in a copy of the same context, where no tokio runtime is available |
//! | `async def f()` | `call_async(..).await` runs the coroutine as a task on the event loop, in a Python context with Rust's values |
//!
//! The body of a coroutine runs in the context of the task that awaits it, not in that of the code that calls the
//! function. Every Python coroutine does the same. So `asyncio.create_task(f(), context=ctx)`,
//! `TaskGroup.create_task(f())` and `asyncio.gather(f(), g())` do what they do with Python's coroutines, and
//! `await ctx.run(f)` is the same trap: `ctx` is no longer current when the body runs.
//!
//! The event loop travels with the context. So [`call_async`] works in every task and thread that inherits the context
//! of a coroutine.
//!
//! # Cancellation
//!
//! When Python cancels a task that awaits a [`coroutine`], the future is dropped in its context soon afterwards, on a
//! thread of the runtime. When Rust drops the future of a [`call_async`], Python's task is canceled: `CancelledError`
//! is raised in the task's context.
//!
//! # Shutdown
//!
//! When the interpreter shuts down, it first waits for the threads that this module has attached. So it waits for
//! running calls, but not for tasks. Ctrl+C ends the wait. Once the shutdown has begun, [`call`] and [`call_async`]
//! return a `RuntimeError`, except on the thread that shuts the interpreter down and runs the `atexit` handlers. The
//! results of coroutines are dropped. A process that was forked with `os.fork` after this module was used does not
//! wait. Code that attaches a Rust thread itself, with `Python::attach`, has no such protection.
//!
//! # Limits
//!
//! - In each extension module, a Python variable can be tied to only one Rust variable.
//! - The `ContextVar` is looked up once per process. If Python reloads its module, the Rust variable stays tied to the
//!   old one.
//! - Two extension modules that contain this crate share only tied variables.
//! - Contexts must be left in the reverse of the order in which they were entered. Greenlets (gevent, SQLAlchemy's
//!   asyncio support) break that order if one is suspended inside a Rust function that runs in a context. This crate
//!   then aborts the process rather than mix up contexts. Do not suspend a greenlet in Python code that Rust calls.
//! - A function that Python calls, but that lacks the argument `python`, runs in the context of its thread. The values
//!   that it sets there stay for all later requests on the thread, so [`call`] does not pass them to Python. Write the
//!   argument on each function that Python calls and that uses variables.
//! - Code counts as called from Python if a function written in Python is on the thread's stack. That is not so if the
//!   target of `_thread.start_new_thread` or an `atexit` handler is itself a Rust function.
//! - A forked process (`os.fork`) lacks the threads of the tokio runtime, so its coroutines never finish if a coroutine
//!   ran before the fork. Fork first, or start processes with `spawn` or `forkserver`.
//! - A function with the argument `python` reads Python's context. If Rust code calls it while Python code is further
//!   up the stack, the function sees Python's values, not those that the Rust code has set. To avoid this, move the
//!   body to a function without the argument, and call that from both languages. With no Python code on the stack, as
//!   in a tokio task, the function sees Rust's values.

mod attach;
mod awaitable;
mod border;
mod coroutine;
mod event_loop;
#[allow(missing_docs)]
#[doc(hidden)]
pub mod expansion;
mod raw;
mod tied;

use pyo3::prelude::*;

use self::border::Call;
pub use self::tied::Codec;
use crate::context::{Context, copy_context as copy_rust_context};

/// Whether the caller's language sees the changes that a call has made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changes {
    Isolated,
    Applied,
}

/// Returns a copy of Python's current context as a Rust context. In the copy, the tied variables have Python's values.
///
/// Use it to hand work over in a way that this module has no function for. In a function that Python calls, [`run`] is
/// shorter.
///
/// Returns a copy of Rust's current context if no Python code is on this thread's stack, for example on a tokio thread.
///
/// # Errors
///
/// Returns an exception if a value cannot be converted (`TypeError`, `ValueError`), if a tied variable does not exist
/// in Python (`ModuleNotFoundError`, `AttributeError`) or is not a `ContextVar` (`TypeError`), or if two variables are
/// tied to the same one (`RuntimeError`). If the import of a module fails, the exception has the type that the import
/// raised. The message names the variables.
///
/// # Examples
///
/// ```
/// use contextvar::python;
/// use pyo3::prelude::*;
///
/// /// Starts a job that outlives the call, in the caller's context.
/// #[pyfunction]
/// fn start(py: Python<'_>, runtime: &Runtime) -> PyResult<()> {
///     runtime.0.spawn(python::copy_context(py)?.scope(async { /* .. */ }));
///     Ok(())
/// }
///
/// #[pyclass(frozen)]
/// struct Runtime(tokio::runtime::Runtime);
/// ```
#[must_use = "a copy of the context does nothing unless work runs in it"]
pub fn copy_context(py: Python<'_>) -> PyResult<Context> {
    border::import(py)
}

/// Runs `f` in a [copy of Python's current context](copy_context). The caller does not see what `f` sets.
///
/// `#[with_copied_context(python)]` does the same for the body of a function.
///
/// # Errors
///
/// Returns the exception of [`copy_context`], or that of `f`.
///
/// # Examples
///
/// ```
/// use contextvar::{context_var, python};
/// use pyo3::prelude::*;
///
/// #[context_var]
/// static QUERIES: u64 = 0;
///
/// #[pyfunction]
/// fn count(py: Python<'_>) -> PyResult<u64> {
///     python::run(py, || {
///         QUERIES.set(QUERIES.get() + 1);
///         Ok(QUERIES.get())
///     })
/// }
/// ```
pub fn run<R>(py: Python<'_>, f: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    copy_context(py)?.run(f)
}

/// Runs `f` in a [copy of Python's current context](copy_context), and applies the changes that `f` has made to
/// Python's current context. `#[with_copied_context(python, apply_changes)]` does the same for the body of a function.
///
/// The changes are applied as in [`Context::apply_changes_to_current`], but include those of variables declared
/// [`inherit(false)`](crate::ContextVar::inherit). They are applied even if `f` fails. Python's context also keeps the
/// values of variables that are not tied, for the next Rust function that Python calls. If no Python code is on this
/// thread's stack, the changes are applied to Rust's current context.
///
/// # Errors
///
/// Returns the exception of [`copy_context`], or that of `f`. Returns another one instead if a value cannot be
/// converted (`TypeError`, `ValueError`), if `f` has [unset](self#changes) a variable, or if Rust's current context
/// cannot be written (`RuntimeError`).
///
/// # Examples
///
/// ```standalone_crate
/// use contextvar::{context_var, python};
/// use pyo3::prelude::*;
/// # use pyo3::types::PyModule;
///
/// #[context_var(python = "app:USER")]
/// static USER: String;
///
/// #[pyfunction]
/// fn login(py: Python<'_>, user: String) -> PyResult<()> {
///     python::run_applying_changes(py, || {
///         USER.set(user);
///         Ok(())
///     })
/// }
///
/// # fn main() -> PyResult<()> {
/// # Python::initialize();
/// # Python::attach(|py| {
/// #     let code = cr#"
/// # from contextvars import ContextVar
/// # USER = ContextVar("user")
/// # def test(login):
/// #     login("ada")
/// #     assert USER.get() == "ada"
/// # "#;
/// #     let app = PyModule::from_code(py, code, c"app.py", c"app")?;
/// #     app.getattr("test")?.call1((wrap_pyfunction!(login, py)?,))?;
/// #     Ok(())
/// # })
/// # }
/// ```
///
/// ```python
/// login("ada")
/// assert USER.get() == "ada"
/// ```
pub fn run_applying_changes<R>(py: Python<'_>, f: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    let base = copy_rust_context();
    let mut context = copy_context(py)?;
    let result = context.run(f);
    border::apply_changes(py, &context, &base)?;
    result
}

/// Returns a Python coroutine that runs `future` on the tokio runtime of pyo3-async-runtimes.
///
/// The future starts when the coroutine is first awaited, in a copy of the [context](copy_context) of the task that
/// awaits it. The task does not see what the future sets. The output is converted in the future's context. If the
/// future panics, the coroutine raises the `RustPanic` of pyo3-async-runtimes. Inside the future, the functions of
/// pyo3-async-runtimes find the event loop and the context. In tracebacks and warnings, the coroutine has the name of
/// the function that contains the async block.
///
/// The GIL is taken only to convert the output, on a thread for blocking work, and not while the future is polled.
///
/// # Errors
///
/// The coroutine raises the exception of [`copy_context`] or that of the future. It raises `RuntimeError` if no event
/// loop is running.
///
/// # Cancellation
///
/// When the coroutine's task is canceled, or the coroutine is closed, the future is dropped in its context.
///
/// # Examples
///
/// ```
/// use contextvar::{context_var, python};
/// use pyo3::prelude::*;
///
/// #[context_var]
/// static ATTEMPTS: u64 = 0;
///
/// #[pyfunction]
/// fn fetch(py: Python<'_>, url: String) -> PyResult<Bound<'_, PyAny>> {
///     python::coroutine(py, async move {
///         ATTEMPTS.set(ATTEMPTS.get() + 1);
///         // Tasks inherit the values.
///         let length = contextvar::task::spawn(async move { url.len() }).await;
///         Ok(length.expect("no panic"))
///     })
/// }
/// ```
///
/// ```python
/// length = await fetch("http://localhost/")
/// ```
#[cfg_attr(feature = "inspect", track_caller)]
pub fn coroutine<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    coroutine::new(py, future, Changes::Isolated)
}

/// Does what [`coroutine`] does, and applies the future's changes to the context of the task that awaits it, once the
/// future has finished.
///
/// # Errors
///
/// Those of [`coroutine`] and of [`run_applying_changes`].
///
/// # Examples
///
/// ```
/// use contextvar::{context_var, python};
/// use pyo3::prelude::*;
///
/// #[context_var]
/// static SESSION: u64;
///
/// #[pyfunction]
/// fn open_session(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
///     python::coroutine_applying_changes(py, async {
///         SESSION.set(7);
///         Ok(())
///     })
/// }
/// ```
#[cfg_attr(feature = "inspect", track_caller)]
pub fn coroutine_applying_changes<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    coroutine::new(py, future, Changes::Applied)
}

/// Attaches this thread to Python and calls `f`. The Python code that `f` calls sees the values of Rust's current
/// context. The current context does not see what the Python code sets.
///
/// The Python code runs in a copy of the Python context that the current context comes from, with the changes that Rust
/// has made. `call` works on any thread: on the caller's, in a task, in a blocking call. To call one function in
/// several tasks, share an `Arc<Py<PyAny>>`, because a `Py` can be cloned only with the GIL.
///
/// If the current context does not come from Python, the Python code runs in a new context with only Rust's values. If
/// this thread has entered no Rust context, the Python code runs in a copy of Python's current context with Rust's
/// values. In that case, if Python code has called the Rust code, Rust's values are left out, because the values of a
/// thread belong to no request.
///
/// `call` takes the GIL, and may have to wait for it. In a tokio task, prefer to call it in
/// `contextvar::task::spawn_blocking` if the Python code takes long.
///
/// # Errors
///
/// Returns the exception of `f`. Returns another one if a value cannot be converted (`TypeError`, `ValueError`), if a
/// tied variable cannot be found (as in [`copy_context`]), or if the interpreter [is shutting down](self#shutdown), has
/// shut down or has not been initialized (`RuntimeError`).
///
/// # Examples
///
/// ```standalone_crate
/// use contextvar::{context_var, python, thread};
/// use pyo3::prelude::*;
/// # use pyo3::types::PyModule;
///
/// #[context_var(python = "app:USER")]
/// static USER: String;
///
/// /// Calls a Python function on another thread.
/// fn call_on_thread(function: Py<PyAny>) -> PyResult<String> {
///     let call = move || python::call(|py| function.bind(py).call0()?.extract());
///     thread::spawn(call).join().expect("no panic")
/// }
///
/// # fn main() -> PyResult<()> {
/// # Python::initialize();
/// # let get = Python::attach(|py| {
/// #     let code = c"from contextvars import ContextVar\nUSER = ContextVar('user')";
/// #     PyModule::from_code(py, code, c"app.py", c"app")?.getattr("USER")?.getattr("get").map(Bound::unbind)
/// # })?;
/// USER.set("ada".to_owned());
/// // `get` is `app.USER.get`.
/// assert_eq!(call_on_thread(get)?, "ada");
/// # Ok(())
/// # }
/// ```
pub fn call<R>(f: impl FnOnce(Python<'_>) -> PyResult<R>) -> PyResult<R> {
    attach::attach(|py| {
        let _call = Call::enter(py)?;
        f(py)
    })
}

/// Does what [`call`] does, and applies the Python code's changes to Rust's current context, even if `f` fails.
///
/// Python variables that are not tied keep their values for the next [`call`], except on a thread that has entered no
/// Rust context. If Python code has called Rust code that runs in no context, the changes are applied to Python's
/// current context.
///
/// # Errors
///
/// Those of [`call`], and `RuntimeError` if the current context cannot be written (see
/// [`ApplyError`](crate::ApplyError)). If the changes cannot be applied, for example because a value cannot be
/// converted, that exception replaces the result of `f`.
///
/// # Examples
///
/// ```standalone_crate
/// use contextvar::{context_var, python};
/// use pyo3::prelude::*;
/// # use pyo3::types::PyModule;
///
/// #[context_var(python = "app:USER")]
/// static USER: String;
///
/// # fn main() -> PyResult<()> {
/// # Python::initialize();
/// # let set = Python::attach(|py| {
/// #     let code = c"from contextvars import ContextVar\nUSER = ContextVar('user')";
/// #     PyModule::from_code(py, code, c"app.py", c"app")?.getattr("USER")?.getattr("set").map(Bound::unbind)
/// # })?;
/// // `set` is `app.USER.set`.
/// python::call_applying_changes(|py| set.call1(py, ("ada",)))?;
/// assert_eq!(USER.get(), "ada");
/// # Ok(())
/// # }
/// ```
pub fn call_applying_changes<R>(f: impl FnOnce(Python<'_>) -> PyResult<R>) -> PyResult<R> {
    attach::attach(|py| {
        let call = Call::enter(py)?;
        let before = call.values()?;
        let result = f(py);
        border::apply_changes_of(&call.leave(), &before)?;
        result
    })
}

/// Calls `f`, and awaits the awaitable that it returns on the Python event loop that the current context comes from.
/// The Python code sees the values of Rust's current context, as in [`call`]. The current context does not see what the
/// Python code sets.
///
/// `f` returns a coroutine or another awaitable. `f` is called at the first poll, which takes the GIL. The awaitable
/// runs as a task. If the current context comes from no event loop, the awaitable runs on the one that
/// pyo3-async-runtimes finds.
///
/// # Errors
///
/// Returns the exception of `f` or of the awaitable, and those of [`call`]. Returns a `RuntimeError` if there is no
/// event loop, or if the event loop was closed before it started the task. If the event loop is closed while the task
/// is pending, which `asyncio.run` does not do, the future never ends.
///
/// # Cancel safety
///
/// Not cancel safe: when the future is dropped, the task is canceled, so `CancelledError` is raised in the Python code.
///
/// # Examples
///
/// ```
/// use contextvar::python;
/// use pyo3::prelude::*;
///
/// /// Awaits a Python coroutine function twice: `await twice(function)`.
/// #[pyfunction]
/// fn twice(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
///     python::coroutine(py, async move {
///         python::call_async(|py| function.bind(py).call0()).await?;
///         python::call_async(|py| function.bind(py).call0()).await
///     })
/// }
/// ```
pub async fn call_async<F>(f: F) -> PyResult<Py<PyAny>>
where
    F: for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send,
{
    awaitable::call(f).await
}

/// Does what [`call_async`] does, and applies the task's changes to Rust's current context, once the task has finished.
///
/// # Errors
///
/// Those of [`call_async`] and of [`call_applying_changes`].
///
/// # Cancel safety
///
/// Like [`call_async`], not cancel safe. If the future is dropped, the changes of the task are not applied.
///
/// # Examples
///
/// ```
/// use contextvar::{context_var, python};
/// use pyo3::prelude::*;
///
/// #[context_var]
/// static USER: String;
///
/// async fn log_in(login: Py<PyAny>) -> PyResult<String> {
///     python::call_async_applying_changes(|py| login.bind(py).call0()).await?;
///     Ok(USER.get())
/// }
/// ```
pub async fn call_async_applying_changes<F>(f: F) -> PyResult<Py<PyAny>>
where
    F: for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>> + Send,
{
    awaitable::call_applying_changes(f).await
}
