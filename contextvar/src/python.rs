//! One context for Python and Rust: a request's variables are the same in both languages.
//!
//! Tie a variable to a `ContextVar` of Python: `#[context_var(python = "package.module:NAME")]`. Say where Python calls
//! Rust, once for each function and not once for each variable: with the argument `python` of
//! [`#[with_copied_context]`](macro@crate::with_copied_context), with [`run`], or with [`coroutine`]. Say where Rust calls
//! Python: with [`call`] or [`call_async`].
//!
//! ```standalone_crate
//! use contextvar::{context_var, python, with_copied_context};
//! use pyo3::prelude::*;
//! # use pyo3::types::PyModule;
//!
//! #[context_var(python = "app:USER")]
//! static USER: String;
//!
//! /// Sees what Python has set.
//! #[pyfunction]
//! #[with_copied_context(python)]
//! fn greet() -> PyResult<String> {
//!     Ok(format!("hello, {}", USER.get()))
//! }
//!
//! /// Calls a function of Python, which sees what Rust has set.
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
//! `examples/python` in the repository is a FastAPI application with an extension module. `docs/python.md` has the costs.
//!
//! This module is for PyO3 0.30 and pyo3-async-runtimes 0.30. Their types are part of its API, so a later version of
//! them comes with a later version of this crate. Extension modules for the stable ABI (PyO3's features `abi3` and
//! `abi3-py*`) cannot use it: the stable ABI lacks CPython's functions for contexts.
//!
//! # What crosses
//!
//! | | into Rust | back into Python |
//! |---|---|---|
//! | a tied variable that is set | its value, converted | its value, converted if Rust has changed it, and otherwise the same object |
//! | a tied variable that is not set | is not set, even if Python's variable has a default | is not set |
//! | a variable of Rust that is not tied | is not set in a call from Python, except below a call from Rust | Python code cannot see it; Rust functions that the Python code calls do |
//! | a variable of Python that is not tied | Rust code cannot see it; Python functions that the Rust code calls do | as it was in the caller |
//!
//! Values are read when a call crosses, and not when a variable is read. So no read takes the GIL, and tasks and threads
//! that Rust starts need no Python to see the values. All rules of this crate apply to them: [`task`](crate::task) and
//! [`thread`](crate::thread) hand the values on, [`inherit(false)`](crate::ContextVar::inherit) keeps a value in its
//! task, also from Python code that another task calls, and a [`secret`](crate::ContextVar::secret) value is in no
//! message of this module.
//!
//! # Changes
//!
//! A call isolates: the caller does not see what the called function sets. To let the caller see the changes, say so
//! where the call crosses: `#[with_copied_context(python, apply_changes)]`, [`run_applying_changes`],
//! [`coroutine_applying_changes`], [`call_applying_changes`], [`call_async_applying_changes`]. The changes are applied
//! when the function returns or fails. They are not applied when it is canceled, or when it panics.
//!
//! Objects that Python code has set come back as the same objects.
//!
//! Python has no way to unset a variable in the context that called Rust. If Rust has unset one, the changes are applied
//! without it, and the call fails with a `RuntimeError` that says so.
//!
//! # Coroutines
//!
//! | in Python | in Rust |
//! |---|---|
//! | `await f()`, where `f` returns a [`coroutine`] | the future runs on the tokio runtime of pyo3-async-runtimes, in a copy of the context of the task that awaits it |
//! | `await f()`, where `f` is an `async fn` with PyO3's feature `experimental-async` and `#[with_copied_context(python)]` | the future is polled on the thread of the event loop, in such a copy, and finds no tokio runtime there |
//! | `async def f()` | `call_async(..).await` runs it as a task on the event loop, in a Python context with Rust's values |
//!
//! The body of a coroutine runs in the context of the task that awaits it, as with every coroutine of Python, and not in
//! that of the code that calls the function. So `asyncio.create_task(f(), context=ctx)`, `TaskGroup.create_task(f())` and
//! `asyncio.gather(f(), g())` do what they do with coroutines of Python, and `await ctx.run(f)` is the same trap.
//!
//! The event loop follows the context. So [`call_async`] works in every task and thread that Rust has started while a
//! coroutine was awaited.
//!
//! # Cancellation
//!
//! When Python cancels a task that awaits a [`coroutine`], the future is dropped in its context, on a thread of the
//! runtime, soon after. When Rust drops the future of a [`call_async`], Python's task is canceled: `CancelledError` is
//! raised in its context.
//!
//! # Shutdown
//!
//! When the interpreter shuts down, it first waits for the threads that this module has attached: for running calls, not
//! for tasks. Ctrl+C ends the wait. From then on, [`call`] and [`call_async`] return a `RuntimeError`, except on the
//! thread that shuts the interpreter down and calls the handlers of `atexit`. The results of coroutines are dropped. A process that `os.fork` has made does not wait. Code that attaches a thread of Rust by
//! itself, with `Python::attach`, has no such protection.
//!
//! # Limits
//!
//! - A variable of Python can be tied to one variable of Rust in each extension module.
//! - Two extension modules that contain this crate share the tied variables, and no others.
//! - A context must be left in the order in which contexts were entered. Greenlets (gevent, SQLAlchemy's asyncio support)
//!   break that order if one is suspended inside a Rust function that runs in a context: this crate aborts the process
//!   rather than mix contexts up. Suspend no greenlet in Python code that Rust calls.
//! - A function that Python calls, but without the argument `python`, runs in the context of its thread, as everywhere
//!   outside of a context. What it sets there stays for all later requests on the thread, so [`call`] does not pass it to
//!   Python. Write the argument on each function that Python calls and that uses variables.
//! - Code counts as called from Python if a function written in Python is on the thread's stack. A function of Rust that
//!   is itself the target of `_thread.start_new_thread`, or a handler of `atexit`, has none there.
//! - A process that `os.fork` has made lacks the threads of the tokio runtime, so its coroutines never finish if a
//!   coroutine had run before. Fork first, or start processes with `spawn` or `forkserver`.
//! - A function with the argument `python` reads Python's context. If Rust code calls it while Python code is further up
//!   the stack, the function sees Python's values, and not what the Rust code has set. Let both call a third function,
//!   without the argument. Where there is no Python code on the stack, as in a task of tokio, it sees Rust's values.

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

/// Whether the other language sees what work has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changes {
    Isolated,
    Applied,
}

/// Returns a copy of Python's current context as a context of Rust. The tied variables have Python's values in it.
///
/// Use it to hand work over in a way for which this module has no function. For a function that Python calls, [`run`] is
/// shorter.
///
/// Returns a copy of Rust's current context if no Python code is on this thread's stack: on a thread of tokio, for
/// example.
///
/// # Errors
///
/// Returns an exception if a value is not one for its variable (`TypeError`, `ValueError`), or if a tied variable does
/// not exist in Python (`ModuleNotFoundError`, `AttributeError`) or is not a `ContextVar` (`TypeError`). Its message names
/// both variables.
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

/// Runs `f` in a [copy of Python's current context](copy_context), and applies what `f` has changed to Python's current
/// context. `#[with_copied_context(python, apply_changes)]` does the same for the body of a function.
///
/// Changes are applied as [`Context::apply_changes_to_current`] does, also if `f` fails. A variable that is not tied
/// keeps its value in the context of Python, for the next function of Rust.
///
/// # Errors
///
/// Returns the exception of [`copy_context`], or that of `f`. Returns another one if a value cannot be converted
/// (`TypeError`, `ValueError`), or if `f` has [unset](self#changes) a variable (`RuntimeError`).
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

/// Returns a coroutine of Python that runs `future` on the tokio runtime of pyo3-async-runtimes.
///
/// The future starts where the coroutine is first awaited, in a copy of the [context](copy_context) of the task that
/// awaits it. The task does not see what the future sets. The output is converted in the future's context. A panic of the
/// future is raised as the `RustPanic` of pyo3-async-runtimes. Inside the future, the functions of pyo3-async-runtimes
/// find the event loop and the context. In tracebacks and warnings the coroutine has the name of the function that
/// contains the async block.
///
/// The GIL is taken to convert the output, on a thread for blocking work, and not while the future is polled.
///
/// # Errors
///
/// The coroutine raises the exception of [`copy_context`] or that of the future. It raises `RuntimeError` if no event
/// loop runs.
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
pub fn coroutine<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    coroutine::new(py, future, Changes::Isolated)
}

/// Does what [`coroutine`] does, and applies what the future has changed to the context of the task that awaits it, when
/// the future has finished.
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
/// has made. Call it on any thread: on that of the caller, in a task, in a blocking call. To call one function in several
/// tasks, share an `Arc<Py<PyAny>>`, because a `Py` can be cloned only with the GIL.
///
/// Where the current context does not come from Python, the copy is one of an empty context. Where no context of Rust has
/// been entered, it is one of Python's current context; if Python code has called the Rust code, Rust's values are left
/// out of it, because those of a thread belong to no request.
///
/// It takes the GIL, and can wait for it. In a task of tokio, prefer `contextvar::task::spawn_blocking` if the Python code
/// takes long.
///
/// # Errors
///
/// Returns the exception of `f`. Returns another one if a value cannot be converted (`TypeError`, `ValueError`), or if
/// the interpreter [has shut down](self#shutdown), or has not been initialized (`RuntimeError`).
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
/// /// Calls a function of Python on another thread.
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

/// Does what [`call`] does, and applies what the Python code has changed to Rust's current context, also if `f` fails.
///
/// Variables of Python that are not tied keep their values for the next [`call`], except on a thread that has entered no
/// context of Rust. If Python code has called Rust code that runs in no context, the changes are applied to Python's
/// current context.
///
/// # Errors
///
/// Those of [`call`], and `RuntimeError` if the current context cannot be written (see
/// [`ApplyError`](crate::ApplyError)). An exception about a value that is not one for its variable comes instead of what
/// `f` returns.
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

/// Calls `f`, and awaits the awaitable that it returns, on the event loop of Python that the current context comes from.
/// The Python code sees the values of Rust's current context, as in [`call`]. The current context does not see what the
/// Python code sets.
///
/// `f` returns a coroutine or another awaitable. It is called at the first poll, which takes the GIL. The awaitable runs
/// as a task.
///
/// # Errors
///
/// Returns the exception of `f` or of the awaitable, and those of [`call`]. Returns a `RuntimeError` if there is no event
/// loop, or if the event loop was closed before it started the task. If an event loop is closed with the task pending,
/// which `asyncio.run` does not do, the future never ends.
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
/// /// Awaits a coroutine of Python: `await twice(function)`.
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

/// Does what [`call_async`] does, and applies what the task has changed to Rust's current context, when the task has
/// finished.
///
/// # Errors
///
/// Those of [`call_async`] and of [`call_applying_changes`].
///
/// # Cancel safety
///
/// As [`call_async`]. The changes of a task that is canceled from Rust are not applied.
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
