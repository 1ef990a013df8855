//! [Python's context variables](https://peps.python.org/pep-0567/) for async Rust: each request has values of its
//! own, such as its id, user, tenant and locale, which follow it through every call and `.await` and into the tasks
//! and threads that it starts with this crate, and reach no other request.
//!
#![cfg_attr(
    all(feature = "tower", feature = "tracing", feature = "tokio", feature = "macros"),
    doc = "```no_run"
)]
#![cfg_attr(
    not(all(feature = "tower", feature = "tracing", feature = "tokio", feature = "macros")),
    doc = "```text"
)]
//! use axum::{Router, http::request::Parts, routing::get};
//! use contextvar::{context_var, task, tower::ContextLayer, tracing::ContextFormat};
//! use tracing::info;
//!
//! #[context_var(name = "request_id", log)]
//! static REQUEST_ID: u64;
//!
//! #[context_var(name = "tenant", log)]
//! static TENANT: String = "public".to_owned();
//!
//! async fn orders() -> String {
//!     info!("orders");
//!     task::spawn(audit()); // like `tokio::spawn`, and the task gets a copy of the context
//!     format!("the orders of {}\n", TENANT.get())
//! }
//!
//! async fn audit() {
//!     info!("audit");
//! }
//!
//! fn tenant(request: &Parts) -> Option<String> {
//!     Some(request.headers.get("x-tenant")?.to_str().ok()?.to_owned())
//! }
//!
//! fn app() -> Router {
//!     let context = ContextLayer::new() // gives each request a context
//!         .set(&REQUEST_ID, |_| rand::random())
//!         .set_if_some(&TENANT, tenant);
//!     Router::new().route("/orders", get(orders)).layer(context)
//! }
//!
//! #[tokio::main]
//! async fn main() -> std::io::Result<()> {
//!     tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app()).await
//! }
//! ```
//!
//! ```text
//! $ curl -H 'x-tenant: acme' http://127.0.0.1:3000/orders
//! the orders of acme
//!
//! 2026-05-04T03:02:01.000117Z  INFO shop: orders request_id=8107365311408467157 tenant=acme
//! 2026-05-04T03:02:01.000163Z  INFO shop: audit request_id=8107365311408467157 tenant=acme
//! ```
//!
//! ```toml
//! [dependencies]
//! axum = "0.8"
//! contextvar = { version = "0.1", features = ["tower", "tracing"] }
//! rand = "0.9"
//! tokio = { version = "1", features = ["full"] }
//! tracing = "0.1"
//! tracing-subscriber = "0.3"
//! ```
//!
//! Until contextvar is published, write `path = "../contextvar/contextvar"` instead of `version = "0.1"`.
//!
//! # The current context
//!
//! | code | its current context |
//! |---|---|
//! | in [`Context::run`] | that context |
//! | in a future in a [`Scoped`], at each poll and while the future is dropped | the context of the `Scoped` |
//! | in a function with [`#[with_copied_context]`](macro@with_copied_context) | a copy of the caller's context, taken at the call |
//! | in a function with [`#[with_empty_context]`](macro@with_empty_context) | a new, empty context |
//! | elsewhere on a thread, and in the future passed to `block_on` | the thread's own context, empty at first |
//! | in a tokio task that was given no context, as by a plain `tokio::spawn` (feature `tokio`) | none: no variable is set, `set` panics, and `try_set` returns a [`SetError`] |
//!
//! Work that [`task`] and [`thread`] start runs in a copy of the current context, without the variables that
//! are [not inherited](ContextVar::inherit). The copy is taken in the caller, at the call. To hand over work
//! in any other way, use [`InContext::in_inherited_context`] for futures, [`Context::bind`] for closures, and
//! [`Context::bind_async`] for closures that make futures.
//!
//! # Features
//!
//! | feature | adds | needs | instructions | KiB | seconds | crates |
//! |---|---|---|---|--:|--:|--:|
//! | `macros` (default) | the attributes |  |  | 8 | 4.6 | 6 |
//! | `tokio` (default) | [`task`]; and a tokio task that was given no context sees no other task's values. Without the feature, such a task shares the context of its worker thread, as tasks of other executors do. | tokio 1.44 | 36 per poll, 165 per spawn | 9 + 118 | 0 + 3.0 | 1 |
//! | `stream` | [`Scoped`] around streams, and `StreamInContext` | futures-core 0.3 |  | 4 + 1 | 0 | 1 |
//! | `sink` | [`Scoped`] around sinks | futures-sink 0.3 |  | 4 + 1 | 0 | 1 |
//! | `http-body` | [`Scoped`] around HTTP bodies | http-body 1 | 97 per frame | 4 + 9 | 0 + 2.2 | 4 |
//! | `hyper` | a context for each request of hyper's connections; an executor whose tasks inherit the context | hyper 1.3 |  | 12 + 6 | 0.1 + 3.8 | 6 |
//! | `tower` | a context for each request or connection of a server; variables in headers of the response | tower 0.5, axum 0.8 | 360 per request, 520 with two variables, 760 per header | 18 + 7 | 0.8 + 2.5 | 6 |
//! | `carry` | ambient values of other libraries carried into tasks |  | 7 per poll | 9 + 29 | 0.2 | 0 |
//! | `tracing` | variables in logs; spans carried into tasks. Implies `carry`. | tracing-subscriber 0.3 | 630 per line with one variable | 32 + 163 | 0.9 + 5.3 | 7 |
//! | `serde` | `#[context_var(log = serde)]`: logs show a value as JSON | serde 1 |  | 47 + 54 | 4.6 + 6.5 | 12 |
//! | `metrics` | variables as labels of the `metrics` crate | metrics 0.24 | 2130 per count with two labels | 91 + 3 | 0.2 + 2.4 | 3 |
//! | `opentelemetry` | variables as attributes of OpenTelemetry's spans, log records and metrics; its context carried into tasks. Implies `carry`. | opentelemetry and its SDK 0.33, tracing-opentelemetry 0.34 | 4230 per span, 1230 per record | 39 + 154 | 2.4 + 18.8 | 25 |
//! | `baggage` | variables and the trace sent to other processes as W3C Baggage and Trace Context. Implies `opentelemetry`. | opentelemetry 0.33 | 2690 to send three entries, 3860 to receive them | 12 + 122 | 5.3 + 18.3 | 30 |
//! | `python` | one context for Python and Rust: variables tied to Python's | PyO3 and pyo3-async-runtimes 0.30, Python 3.9 | 2250 per call with one variable, 820 per callback | 139 + 75 | 3.5 + 27.2 | 22 |
//! | `observe` | an observer of the contexts that threads enter and exit |  |  | 3 + 4 | 0 | 0 |
//! | `report` | reports of reads and writes that find no context |  |  | 31 | 0.3 | 0 |
//! | `inspect` | the live view: a list of the live contexts of requests, tasks and threads, which a server can serve as a page. Implies `report`. |  | 2 per poll; when on, 116 per poll and 885 per task | 281 + 70 | 3.2 + 13.6 | 20 |
//! | `runtime-hooks` | tokio runtimes whose tasks all inherit the context | tokio 1.46.1, `--cfg tokio_unstable` |  | 31 + 126 | 0.6 + 3.0 | 1 |
//!
//! - Instructions: CPU instructions per use, beyond the same work without the feature, counted by callgrind.
//!   `docs/` in the repository has all counts, next to those of similar libraries.
//! - KiB: the growth of a small program that uses the feature. `4 + 1` means 4 for this library and 1 for the
//!   other libraries.
//! - Seconds: the CPU time that the feature adds to a clean release build of that program, in the same two
//!   parts. `scripts/feature-size` measures size and time. It also counts instructions before `main`: 15 for
//!   each variable with `log_default` or `baggage`.
//! - Crates: the number of crates that the feature alone adds to the build, including indirect dependencies.
//!
//! # The guide
//!
//! | to | read |
//! |---|---|
//! | write a first program: axum, tonic, actix-web, hyper, a message consumer or a command-line tool | [Getting started](https://docs.rs/contextvar/latest/contextvar/guide/getting_started/index.html) |
//! | translate what you write today | [Coming from](https://docs.rs/contextvar/latest/contextvar/guide/coming_from/index.html) Python, `task_local!`, tracing, OpenTelemetry, Java, .NET, Node.js, Go or Kotlin |
//! | hand over work to a `JoinSet`, a thread pool, a callback or a stream | [Does the context follow?](https://docs.rs/contextvar/latest/contextvar/guide/propagation/index.html) |
//! | find out why a value is missing | [Ways to lose a context](https://docs.rs/contextvar/latest/contextvar/guide/lost/index.html), [Errors](https://docs.rs/contextvar/latest/contextvar/guide/errors/index.html) |
//! | use pools, caches, websockets, deadlines or transactions | [Recipes](https://docs.rs/contextvar/latest/contextvar/guide/recipes/index.html) |
//! | see the variables outside of your code | [Logs](https://docs.rs/contextvar/latest/contextvar/guide/logs/index.html), [traces and metrics](https://docs.rs/contextvar/latest/contextvar/guide/telemetry/index.html), [other processes](https://docs.rs/contextvar/latest/contextvar/guide/baggage/index.html), [Python](https://docs.rs/contextvar/latest/contextvar/guide/python/index.html), [the live view](https://docs.rs/contextvar/latest/contextvar/guide/live_view/index.html) |
//! | test code that reads variables | [Testing](https://docs.rs/contextvar/latest/contextvar/guide/testing/index.html) |
//! | decide whether to use it | [Versions](https://docs.rs/contextvar/latest/contextvar/guide/versions/index.html), [Limits](https://docs.rs/contextvar/latest/contextvar/guide/limits/index.html), [Security](https://docs.rs/contextvar/latest/contextvar/guide/security/index.html), [Lints](https://docs.rs/contextvar/latest/contextvar/guide/lints/index.html) |
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
// Exists only in documentation: the pages link to items of these features, and their programs use the items.
#[cfg(all(
    doc,
    feature = "baggage",
    feature = "hyper",
    feature = "inspect",
    feature = "macros",
    feature = "metrics",
    feature = "opentelemetry",
    feature = "python",
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

/// Turns a static into a context variable.
///
/// ```
/// use contextvar::context_var;
///
/// #[context_var]
/// static LOCALE: &str = "en"; // `"en"` is the default
///
/// #[context_var(name = "user", log)]
/// pub static USER: String; // no default
///
/// assert_eq!(LOCALE.get(), "en");
/// LOCALE.set("fr");
/// assert_eq!(LOCALE.get(), "fr");
///
/// assert!(USER.try_get().is_err());
/// assert_eq!(USER.name(), "user");
/// ```
///
/// The static's type becomes [`ContextVar<T>`](ContextVar), whose methods read and set the value. The default
/// can be any expression. The expression is evaluated once per process, when the default is first needed: see
/// [`ContextVar::with_default`]. Without a default, [`get`](ContextVar::get) panics if no value is set.
///
/// # Arguments
///
/// | argument | effect |
/// |---|---|
/// | `name = ".."` | The name in messages and logs. The default is the static's identifier. |
/// | `log` | Logs show the value where it is set: with `Display`, or with `Debug` if the type has no `Display`. Numbers and booleans keep their types. An `Option` is shown as the value in it; `None` is not shown. See [`ContextVar::log`]. |
/// | `log = \|value\| &value.part` | Logs show what the closure or function returns. |
/// | `log = serde` | Logs show the value as JSON (feature `serde`). |
/// | `log_default`, beside `log` | Logs also show the default, where the code has a context and the variable is not set. The first such line computes the default, so the default's expression must not take a lock that code holds while it logs. To show a fallback only for the requests of one server, set the fallback in its `ContextLayer` instead. |
/// | `secret` | The value is never shown. See [`ContextVar::secret`]. |
/// | `metric` | The value, or the default, is a label of metrics. See [`ContextVar::metric`]. |
/// | `inherit = false` | Other tasks and threads do not inherit the value. See [`ContextVar::inherit`]. |
/// | `report = false` | Reads and writes of the variable in code without a context are not reported. See [`ContextVar::report`]. |
/// | `baggage = "key"`, `codec = Codec` | Requests to other processes carry the value (feature `baggage`). See `contextvar::baggage`. |
/// | `python = "package.module:NAME"`, `python_codec = Codec` | The variable is tied to this Python `ContextVar` (feature `python`). PyO3's traits, or the codec, convert its values. See `contextvar::python`. |
/// | `crate = path` | The path of the `contextvar` crate, if it is not `::contextvar`. |
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
/// rustc warns about such a default if the variable's type names a type such as `Mutex`, or an `Arc` of a
/// type that the attribute does not recognize. The warning is the lint `deprecated`. If requests are meant to
/// share the value, write `#[allow(deprecated)]` on the static. The attribute sees only names, so it misses a
/// type behind an alias or inside a type of your own.
///
/// # Placement
///
/// The attribute works wherever a static can be: in modules, functions and methods. The static keeps its
/// visibility, docs and other attributes. Unlike `thread_local!`, the attribute has no form for a list of
/// variables, because rustfmt, editors and `grep` handle single statics well.
#[cfg(feature = "macros")]
#[doc(alias = "task_local")]
pub use contextvar_macros::context_var;

/// Runs the body of a function in a copy of the caller's context.
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
///     greet().await
/// }
///
/// #[with_copied_context(USER = user.to_owned())] // sets a variable in the copy
/// async fn greet_as(user: &str) -> String {
///     greet().await
/// }
///
/// async fn greet() -> String {
///     USER.with(|user| format!("hello, {user}"))
/// }
///
/// # futures::executor::block_on(async {
/// assert_eq!(login("ada").await, "hello, ada");
/// assert_eq!(greet_as("grace").await, "hello, grace");
/// assert_eq!(USER.get(), "nobody"); // the changes stayed in the copies
/// # });
/// ```
///
/// On an `async fn`, the copy is taken when the function is called, not when its future is first polled.
/// Therefore `tokio::spawn(f())` carries the caller's context, and `ctx.run(|| f())` returns a future that
/// runs in a copy of `ctx`. The caller does not see the values that the body sets.
///
/// # Arguments
///
/// | argument | effect |
/// |---|---|
/// | `VAR = value`, any number of times | Sets variables in the copy, in order, before the body runs. A value is an expression that can use the function's arguments and the variables set before it. On an `async fn`, and on a `fn` that consists of a `Box::pin(async ..)`, the expression is evaluated at the first poll; on a plain `fn`, at the call. |
/// | `skip` | Leaves a function out of an annotated `impl`, trait or module. |
/// | `future` | Declares that the function's return type is another name for a boxed future. |
/// | `python` | The body runs in a copy of Python's current context (feature `python`). On an `async fn`, the copy is taken at the first poll, because the body of a coroutine runs in the context of the task that awaits it. The function must return a `Result` whose error implements `From<PyErr>`. Not allowed on an `impl` block, a trait or a module. See `contextvar::python`. |
/// | `apply_changes`, with `python` | The body's changes are applied to Python's current context when the body has finished. |
/// | `crate = path` | The path of the `contextvar` crate, if it is not `::contextvar`. |
///
/// # Placement
///
/// - The attribute goes on functions and methods, including those in traits and their implementations. It can
///   stand above or below `#[tokio::main]`, `#[tokio::test]` and similar attributes.
/// - On a plain `fn`, the body runs in the copy. If the function returns a future (`impl Future`,
///   `Pin<Box<dyn Future>>`, `BoxFuture`), the future runs in the copy as well.
/// - On an `impl` block, a trait or an inline module, the attribute applies to every function that is async
///   or returns a future. It can stand above or below `#[async_trait]`; the future is boxed once.
/// - The attribute cannot go on closures, because attributes on closures are not stable. Wrap the future that
///   a closure returns: `|x| f(x).in_copied_context()` (see [`InContext`]).
///
/// A trait method without a body has nothing to run, so annotate the implementations. It is an error to
/// annotate a trait whose async methods all lack a body.
///
/// # Limits
///
/// The attribute cannot recognize a return type that hides a future (an alias, `impl` of your own trait,
/// `impl IntoFuture`). Only the body of such a plain `fn` runs in the copy. If the type is a boxed future,
/// compilation fails, and the argument `future` fixes the error. An annotated `impl`, trait or module leaves
/// such a function unchanged. In a function that returns `impl Fn(..)`, the closure's arguments can need
/// explicit types.
///
/// # With other macros
///
/// Macros that copy attributes can put this attribute where no macro is allowed. These orders work and are
/// tested:
///
/// - mockall: on an `impl` block, above or below `#[automock]`, or on the `impl` of a trait that has
///   `#[automock]`. Do not put the attribute on a method below `#[automock]`, or on a trait that has
///   `#[automock]`: mockall copies those attributes to statements.
/// - easy_ext: above or below `#[ext]`, or on a method.
/// - fastrace and tracing: above or below `#[trace]` and `#[instrument]`.
///
/// # Lints
///
/// Lints treat an annotated function like a plain one, with a few exceptions. [A page of the guide][lints]
/// lists them, and a test checks the list. For example, `#[must_use]` on an annotated `async fn` does not
/// apply to the awaited value. Put `#[must_use]` on the returned type instead.
///
/// [lints]: https://docs.rs/contextvar/latest/contextvar/guide/lints/index.html
///
/// # The expansion
///
/// An annotated `async fn` expands to a `fn` that returns an async block. A compiler message can therefore
/// contain "async block" or "closure" instead of "function". In a plain `#[track_caller]` fn,
/// `Location::caller()` is not the caller's location. The file `expansions.md` of contextvar-macros shows
/// each form.
///
/// The future is `Send` if the future of the plain `async fn` is `Send`, and it is at most 24 bytes larger.
/// Each of the features `carry` and `inspect` adds 8 bytes. `cargo check` of 500 annotated functions takes
/// 1.21 times as long as `cargo check` of the plain ones (2.3 s, medians of 15 runs, `scripts/compile-time`).
///
/// An `async fn main()` without a runtime's attribute still fails with rustc's error E0752. To keep that
/// message, the macro leaves every private `async fn main()` async. A private `async fn main()` that is not
/// the program's `main` takes its copy at the first poll.
#[cfg(feature = "macros")]
#[doc(alias = "instrument")]
pub use contextvar_macros::with_copied_context;

/// Runs the body of a function in a new, empty context.
///
/// ```
/// use contextvar::{context_var, with_empty_context};
///
/// #[context_var]
/// static USER: String = "nobody".to_owned();
///
/// #[with_empty_context]
/// #[test]
/// fn starts_empty() {
///     assert_eq!(USER.get(), "nobody");
///     USER.set("ada".to_owned()); // gone when the test ends
/// }
///
/// #[with_empty_context(USER = "ada".to_owned())]
/// #[tokio::test]
/// async fn starts_with_a_user() {
///     assert_eq!(USER.get(), "ada");
/// }
/// ```
///
/// The attribute has the placement, the limits and the arguments of
/// [`#[with_copied_context]`](macro@with_copied_context), except `python` and `apply_changes`. In an
/// annotated `impl` block, trait or module, a function's own attribute takes precedence.
///
/// # In tests
///
/// A `#[test]` runs in its thread's own context, which can hold values that another test has set: with
/// `--test-threads=1`, all tests run on one thread. With this attribute, each test starts with an empty
/// context, or with the entries that you write, and leaves no values behind. Put the attribute above or below
/// `#[test]`, `#[tokio::test]` and `#[rstest]`.
///
/// On the default flavor of `#[tokio::test]`, tasks of a plain `tokio::spawn` can read the attribute's
/// context, because that context surrounds the runtime. To detect such a task, set the values with
/// `USER.scope(..)` in the body.
///
/// rstest moves the attribute to the test that it generates for each case, so entries cannot use the
/// arguments of a case. Set such variables in the body:
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
