//! Context variables ([PEP 567], Python's `contextvars`) for async Rust: a value that follows one request,
//! job or session through every call, `.await`, spawned task and thread, and through nothing else.
//!
//! [PEP 567]: https://peps.python.org/pep-0567/
//!
#![cfg_attr(feature = "macros", doc = "```")]
#![cfg_attr(not(feature = "macros"), doc = "```text")]
//! use contextvar::{context_var, with_copied_context};
//!
//! #[context_var]
//! static USER: String = "nobody".to_owned();
//!
//! #[with_copied_context]
//! async fn handler(user: &str) -> String {
//!     USER.set(user.to_owned());
//!     greet().await
//! }
//!
//! async fn greet() -> String {
//!     USER.with(|user| format!("hello, {user}"))
//! }
//!
//! # futures::executor::block_on(async {
//! assert_eq!(handler("ada").await, "hello, ada");
//! assert_eq!(USER.get(), "nobody"); // `handler` set the variable in a context of its own
//! # });
//! ```
//!
//! # The current context
//!
//! | code | its current context |
//! |---|---|
//! | in [`Context::run`] | that context |
//! | in a future in a [`Scoped`], at each poll and while the future is dropped | that of the `Scoped` |
//! | in a function with [`#[with_copied_context]`](macro@with_copied_context) | a copy of the caller's context, taken at the call |
//! | in a function with [`#[with_empty_context]`](macro@with_empty_context) | a new, empty context |
//! | elsewhere on a thread, and in the future passed to `block_on` | the thread's own context, empty at first |
//! | in a tokio task that was given no context (feature `tokio`) | none: no variable is set, and `try_set` returns a [`SetError`] |
//!
//! Work that [`task`] and [`thread`] start runs in a copy of the current context without the variables that are
//! [not inherited](ContextVar::inherit). The copy is taken in the caller, at the call. To hand work over in any other way, use
//! [`InContext::in_inherited_context`] for futures, [`Context::bind`] for closures, and [`Context::bind_async`] for closures
//! that make futures.
//!
//! The [guide](https://docs.rs/contextvar/latest/contextvar/guide/index.html) has more: whether the context follows each way
//! of handing work over, variables across processes, telemetry, testing, migrating, limits, security and lints.
//!
//! # Features
//!
//! | feature | adds | instructions in use | KiB | seconds | crates | needs |
//! |---|---|---|--:|--:|--:|---|
//! | `macros` (default) | the attributes |  | 8 | 4.6 | 6 |  |
//! | `tokio` (default) | [`task`], and the last row of the table above. Without it, a tokio task that was given no context shares the context of the worker thread it happens to run on, as the tasks of other executors do. | 36 a poll, 165 a spawn | 9 + 118 | 0 + 3.0 | 1 | tokio 1.44 |
//! | `stream` | [`Scoped`] around streams, and `StreamInContext` |  | 4 + 1 | 0 | 1 | futures-core 0.3 |
//! | `sink` | [`Scoped`] around sinks |  | 4 + 1 | 0 | 1 | futures-sink 0.3 |
//! | `http-body` | [`Scoped`] around HTTP bodies | 97 a frame | 4 + 9 | 0 + 2.2 | 4 | http-body 1 |
//! | `hyper` | a context for each request of hyper's connections; an executor whose tasks inherit the context |  | 12 + 6 | 0.1 + 3.8 | 6 | hyper 1 |
//! | `tower` | a context for each request or connection of a server; variables in headers of the response | 360 a request, 520 for two variables, 760 a header | 18 + 7 | 0.8 + 2.5 | 6 | tower 0.5, axum 0.8 |
//! | `carry` | ambient values of other libraries carried into tasks | 7 a poll | 9 + 29 | 0.2 | 0 |  |
//! | `tracing` | variables in logs; spans carried into tasks. Implies `carry`. | 630 a line with one variable | 32 + 163 | 0.9 + 5.3 | 7 | tracing-subscriber 0.3 |
//! | `serde` | `#[context_var(log = serde)]`: logs show a value as JSON |  | 47 + 54 | 4.6 + 6.5 | 12 | serde 1 |
//! | `metrics` | variables as labels of the `metrics` crate | 2130 a count with two labels | 91 + 3 | 0.2 + 2.4 | 3 | metrics 0.24 |
//! | `opentelemetry` | variables as attributes of OpenTelemetry's spans, log records and metrics; its context carried into tasks. Implies `carry`. | 4230 a span, 1230 a record | 39 + 154 | 2.4 + 18.8 | 25 | opentelemetry and its SDK 0.33, tracing-opentelemetry 0.34 |
//! | `baggage` | variables and the trace sent to other processes as W3C Baggage and Trace Context. Implies `opentelemetry`. | 2690 to send three entries, 3860 to receive them | 12 + 122 | 5.3 + 18.3 | 30 | opentelemetry 0.33 |
//! | `python` | one context for Python and Rust: variables tied to Python's | 2250 a call with one variable, 820 a call back | 139 + 75 | 3.5 + 27.2 | 22 | PyO3 and pyo3-async-runtimes 0.30, Python 3.9 |
//! | `observe` | an observer of the contexts that threads enter and exit |  | 3 + 4 | 0 | 0 |  |
//! | `report` | reports of reads and writes that find no context |  | 31 | 0.3 | 0 |  |
//! | `inspect` | a list of the live contexts of tasks, threads and requests, as a page that a server serves. Implies `report`. | 2 a poll; on, 116 a poll, 885 a task | 281 + 70 | 3.2 + 13.6 | 20 |  |
//! | `runtime-hooks` | tokio runtimes whose tasks all inherit the context |  | 31 + 126 | 0.6 + 3.0 | 1 | `--cfg tokio_unstable` |
//!
//! - Instructions: beyond the same work without the feature, counted by callgrind. `docs/` in the repository has all of them,
//!   beside peers.
//! - KiB: what a small program that uses the feature grows by, for this library and for the other libraries.
//! - Seconds: the CPU time that a clean release build of the program takes longer, in the same two parts. `scripts/feature-size`
//!   measures both. It also counts instructions before `main`: 15 for each variable with `log_default` or `baggage`.
//! - Crates: those that the feature alone adds to the build, indirect ones included.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![allow(clippy::test_attr_in_doctest, reason = "examples show where an attribute goes")]

#[cfg(feature = "baggage")]
pub mod baggage;
#[cfg(feature = "carry")]
pub mod carry;
mod context;
mod current;
mod error;
// Exists only in documentation: the pages link to items of these features, and their programs use them.
#[cfg(all(
    doc,
    feature = "baggage",
    feature = "hyper",
    feature = "macros",
    feature = "metrics",
    feature = "opentelemetry",
    feature = "stream",
    feature = "tokio",
    feature = "tower",
    feature = "tracing"
))]
#[cfg_attr(docsrs, doc(auto_cfg = false))]
pub mod guide;
mod hand_over;
#[cfg(feature = "hyper")]
pub mod hyper;
mod in_context;
mod inherit;
#[cfg(feature = "inspect")]
pub mod inspect;
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
mod labels;
mod log;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "observe")]
pub mod observe;
mod on_drop;
#[cfg(feature = "opentelemetry")]
pub mod opentelemetry;
mod panic_hook;
#[cfg(feature = "python")]
pub mod python;
#[cfg(feature = "report")]
pub mod report;
#[cfg(any(feature = "hyper", feature = "tower"))]
mod request;
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "runtime-hooks", tokio_unstable))))]
pub mod runtime;
mod scoped;
mod snapshot;
mod storage;
mod sync;
#[cfg(feature = "tokio")]
pub mod task;
pub mod thread;
mod token;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
pub mod tracing;
mod var;

// Comes after `context`: rustdoc lists the methods of a type in the order of the modules.
mod bind;

pub use context::{AnyContextVar, Context, Iter, copy_context, inherit_context};
pub use error::{
    ApplyError, LookupError, LookupErrorKind, ResetError, ResetErrorKind, SetError, WriteErrorKind,
};
pub use in_context::InContext;
#[cfg(feature = "stream")]
pub use in_context::StreamInContext;
pub use log::{LogValue, for_each_log_field};
pub use panic_hook::set_panic_hook;
pub use scoped::{Scoped, ScopedAndContext};
pub use snapshot::ContextSnapshot;
pub use storage::Entry;
pub use token::{ResetOnDrop, Token};
pub use var::{ContextValue, ContextVar};

/// Makes a static a context variable.
///
/// `static NAME: T = value;` becomes a `static NAME: ContextVar<T>` with that default. The value can be any
/// expression. It is evaluated once per process, when the default is first needed (see
/// [`ContextVar::with_default`]). `static NAME: T;` has no default. Visibility, docs and other attributes are
/// kept.
///
/// The attribute works wherever a static can be: in modules, functions and methods. There is no form for a
/// list of variables, as `thread_local!` has: rustfmt, editors and `grep` know how to handle a static.
///
/// # Defaults that requests share
///
/// A default is one value for the whole process. If something inside it can change, such as a `Mutex`, an
/// atomic or a `CancellationToken`, a change that one request makes reaches all others. Declare such a
/// variable without a default, and set a new value for each request: with `contextvar::tower::ContextLayer`,
/// or in an entry of [`#[with_copied_context]`](macro@with_copied_context).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use contextvar::{context_var, with_copied_context};
///
/// #[context_var]
/// static QUERIES: Arc<AtomicU64>;
///
/// #[with_copied_context(QUERIES = Arc::default())]
/// async fn handler() -> u64 {
///     query().await;
///     QUERIES.with(|queries| queries.load(Ordering::Relaxed))
/// }
///
/// async fn query() {
///     QUERIES.with(|queries| queries.fetch_add(1, Ordering::Relaxed));
/// }
///
/// # futures::executor::block_on(async {
/// assert_eq!(handler().await, 1);
/// assert_eq!(handler().await, 1); // a new counter
/// # });
/// ```
///
/// The attribute makes rustc warn about such a default if the type shows it: by a name such as `Mutex`, or by
/// an `Arc` of a type that the attribute does not know. The warning is the lint `deprecated`. If requests are
/// meant to share the value, write `#[allow(deprecated)]` on the static. The attribute sees only names, so it
/// misses what is behind an alias or inside a type of your own.
///
/// # Arguments
///
/// - `name = "..."`: the name for messages. The default is the static's identifier.
/// - `secret`: the value is never shown. See [`ContextVar::secret`].
/// - `log`: logs show the value if it is set, with its `Display`, or with its `Debug` if it has no `Display`.
///   Numbers and booleans keep their types. An `Option` is shown as the value in it, and not at all if it is
///   `None`. See [`ContextVar::log`].
/// - `log = |value| &value.part`: logs show what the closure or function returns, in the same way.
/// - `log = serde` (feature `serde`): logs show the value as JSON.
/// - `log_default`: logs show the default as well, where the variable is not set and there is a context. The first
///   line computes it, so it must not take a lock that code holds while it logs.
/// - `metric`: the value, or the default, is a label of metrics. See [`ContextVar::metric`].
/// - `baggage = "key"`, `codec = Codec` (feature `baggage`): requests to other processes carry the value. See
///   `contextvar::baggage`.
/// - `python = "package.module:NAME"` (feature `python`): the variable is tied to this Python `ContextVar`. Its values
///   are converted by PyO3's traits, or by the codec in `python_codec = Codec`. See `contextvar::python`.
/// - `inherit = false`: other tasks and threads do not inherit the value. See [`ContextVar::inherit`].
/// - `report = false`: reads and writes of the variable without a context are not reported. See
///   [`ContextVar::report`].
/// - `crate = path`: the path of the `contextvar` crate, if it is not `::contextvar`.
///
/// # Examples
///
/// ```
/// use contextvar::context_var;
///
/// #[context_var]
/// static LOCALE: &str = "en";
///
/// #[context_var(name = "user")]
/// pub static USER: String;
///
/// assert_eq!(LOCALE.get(), "en");
/// assert_eq!(USER.name(), "user");
/// assert!(USER.try_get().is_err());
/// ```
#[cfg(feature = "macros")]
#[doc(alias = "task_local")]
pub use contextvar_macros::context_var;

/// Runs the body of a function in a copy of the caller's context.
///
/// On an `async fn` the copy is taken when the function is called, not when its future is first polled. So
/// `tokio::spawn(f())` carries the caller's context, and `ctx.run(|| f())` returns a future that runs in a
/// copy of `ctx`. The caller does not see the values that the body sets.
///
/// The future is `Send` where that of the plain `async fn` is, and at most 24 bytes larger. Each of the features
/// `carry` and `inspect` adds 8 bytes. `cargo check` of 500 annotated functions takes 1.21 times as long as that
/// of the plain ones (2.3 s, medians of 15 runs, `scripts/compile-time`).
///
/// # Placement
///
/// - On functions and methods, also in traits and their implementations; above or below `#[tokio::main]`,
///   `#[tokio::test]` and similar attributes.
/// - On a plain `fn`: the body runs in the copy. If the function returns a future (`impl Future`,
///   `Pin<Box<dyn Future>>`, `BoxFuture`), the future runs in the copy as well.
/// - On an `impl` block, a trait or an inline module: it applies to every function that is async or returns a
///   future. Above or below `#[async_trait]`; the future is boxed once.
/// - Not on closures, because attributes on them are not stable. Wrap the future that a closure returns:
///   `|x| f(x).in_copied_context()` (see [`InContext`]).
///
/// A trait's method without a body has nothing to run: annotate the implementations. A trait whose async
/// methods all lack a body is an error.
///
/// An `async fn main()` without a runtime's attribute still fails with rustc's error E0752. To get that
/// message, the macro leaves every private `async fn main()` async. One that is not the program's `main`
/// takes its copy at the first poll.
///
/// # With other macros
///
/// Macros that copy attributes may put this one where no macro can stand. These orders work, each with a
/// test:
///
/// - mockall: on an `impl` block, above or below `#[automock]`, or on the `impl` of a trait that has
///   `#[automock]`. Not on a method below `#[automock]`, and not on such a trait: mockall copies those
///   attributes to statements.
/// - easy_ext: above or below `#[ext]`, or on a method.
/// - fastrace and tracing: above or below `#[trace]` and `#[instrument]`.
///
/// # Lints
///
/// Lints treat an annotated function as you wrote it. [A page of the guide][lints] lists the few differences,
/// which a test checks. One of them: `#[must_use]` on an annotated `async fn` does not apply to the awaited
/// value. Put it on the returned type instead.
///
/// [lints]: https://docs.rs/contextvar/latest/contextvar/guide/lints/index.html
///
/// # Limits
///
/// The attribute cannot recognize a return type that hides a future (an alias, `impl` of your own trait,
/// `impl IntoFuture`): only the body of such a plain `fn` runs in the copy. If the type turns out to be a
/// boxed future, that is an error, which the argument `future` resolves. An annotated `impl`, trait or module
/// leaves such a function unchanged. A function that returns `impl Fn(..)` can need the types of its
/// closure's arguments.
///
/// rustc sees a `fn` that returns an async block (the file `expansions.md` of contextvar-macros shows each
/// form). So a message can say "async block" or "closure" instead of "function". In a plain `#[track_caller]`
/// fn, `Location::caller()` is not the caller's location.
///
/// # Arguments
///
/// - `future`: declares that the function returns a boxed future under another name.
/// - `python` (feature `python`): the body runs in a copy of Python's current context. On an `async fn`, the copy is
///   taken at the first poll, because the body of a coroutine runs in the context of the task that awaits it. The
///   function must return a `Result` whose error implements `From<PyErr>`. Not allowed on an `impl` block, a trait or a
///   module. See `contextvar::python`.
/// - `apply_changes`, with `python`: the body's changes are applied to Python's current context when the body has
///   finished.
/// - `skip`: leaves a function out of an annotated `impl`, trait or module.
/// - `VAR = value`, any number of times: sets variables in the copy, in order, before the body runs. The
///   values are expressions. They see the function's arguments and the variables that were set before them.
///   They are evaluated at the first poll of an `async fn` (and of a `fn` that consists of a
///   `Box::pin(async ..)`), and at the call of a plain `fn`.
/// - `crate = path`: the path of the `contextvar` crate, if it is not `::contextvar`.
///
/// # Examples
///
/// ```
/// use contextvar::{context_var, with_copied_context};
///
/// #[context_var]
/// static USER: String = "nobody".to_owned();
///
/// #[with_copied_context]
/// async fn login(user: &str) -> String {
///     USER.set(user.to_owned());
///     USER.get()
/// }
///
/// #[with_copied_context(USER = user.to_owned())]
/// async fn greet(user: &str) -> String {
///     format!("hello, {}", USER.get())
/// }
///
/// # futures::executor::block_on(async {
/// assert_eq!(login("ada").await, "ada");
/// assert_eq!(greet("grace").await, "hello, grace");
/// assert_eq!(USER.get(), "nobody");
/// # });
/// ```
#[cfg(feature = "macros")]
#[doc(alias = "instrument")]
pub use contextvar_macros::with_copied_context;

/// Runs the body of a function in a new, empty context.
///
/// Otherwise it is the same as
/// [`#[with_copied_context]`](macro@with_copied_context): it has the same placement and arguments. On a function in an annotated `impl`
/// block, trait or module, the function's own attribute applies.
///
/// # In tests
///
/// A `#[test]` runs in its thread's own context, and can find values there that another test has set: with
/// `--test-threads=1`, all tests run on one thread. With this attribute each test starts with an empty
/// context, or with the entries that you write, and leaves no values behind. Put it above or below `#[test]`,
/// `#[tokio::test]` and `#[rstest]`:
///
/// ```
/// use contextvar::{context_var, with_empty_context};
///
/// #[context_var]
/// static USER: String = "nobody".to_owned();
///
/// #[with_empty_context]
/// #[test]
/// fn plain() {
///     assert_eq!(USER.get(), "nobody");
///     USER.set("ada".to_owned());
/// }
///
/// #[with_empty_context(USER = "ada".to_owned())]
/// #[tokio::test]
/// async fn with_a_fixture() {
///     assert_eq!(USER.get(), "ada");
/// }
/// ```
///
/// rstest moves the attribute to the test that it generates for each case, so entries cannot use the case's
/// arguments.
///
/// ```text
/// #[with_empty_context]
/// #[rstest]
/// #[case("ada")]
/// #[case("grace")]
/// fn cases(#[case] user: &str) {
///     USER.set(user.to_owned());
///     assert_eq!(USER.get(), user);
/// }
/// ```
///
/// To do the same without the attribute, call `Context::new().run(|| ..)`, or `Context::new().scope(..)` for
/// a future.
#[cfg(feature = "macros")]
pub use contextvar_macros::with_empty_context;

#[cfg(feature = "macros")]
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

// rustc's warning names this path.
#[cfg(feature = "macros")]
#[allow(deprecated, reason = "the attribute `#[context_var]` calls it to cause the warning")]
#[doc(hidden)]
pub use __private::default_shared_by_all_requests;
