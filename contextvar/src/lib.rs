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
//! assert_eq!(USER.get(), "nobody"); // what `handler` set, it set in a context of its own
//! # });
//! ```
//!
//! # Which context is current
//!
//! | where | the current context |
//! |---|---|
//! | in [`Context::run`] | that context |
//! | in a future in a [`Scoped`], at each poll and while it is dropped | the scope's |
//! | in a function with [`#[with_copied_context]`](macro@with_copied_context) | a copy of the caller's, taken at the call |
//! | in a function with [`#[with_empty_context]`](macro@with_empty_context) | a new one |
//! | elsewhere on a thread, and in `block_on`'s own future | the thread's own, empty at first |
//! | in a tokio task that was given none (feature `tokio`) | none: nothing is set, setting is a [`SetError`] |
//!
//! Work that is handed on with [`task`] and [`thread`] runs in a copy, taken at the call by the caller, without
//! the variables that are [not inherited](ContextVar::inherit). For any other way to hand work on there are
//! [`InContext::in_inherited_context`] for futures and [`Context::bind`] for closures.
//!
//! # Features
//!
//! - `macros` (default): the attributes.
//! - `tokio` (default): [`task`], and the last line of the table above. Without it a tokio task that was
//!   given no context shares that of the worker thread it happens to run on, as do the tasks of any other
//!   executor.
//! - `stream`: [`Scoped`] around streams, and `StreamInContext`.
//! - `sink`, `http-body`: [`Scoped`] around sinks and HTTP bodies.
//! - `hyper`: an executor whose tasks inherit.
//! - `tower`: a context for each request, or connection, of a server.
//! - `tracing`: variables in logs, and spans that follow into tasks.
//! - `opentelemetry`: its context follows into tasks.
//! - `baggage`: variables across processes, as W3C Baggage.
//! - `observe`: to be told when a context is entered or left.
//! - `runtime-hooks`: tokio runtimes whose every task inherits, whoever spawned it. Needs `--cfg tokio_unstable`.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![allow(clippy::test_attr_in_doctest, reason = "examples show where an attribute goes")]

#[cfg(feature = "baggage")]
pub mod baggage;
mod context;
mod current;
mod error;
#[cfg(feature = "hyper")]
pub mod hyper;
mod in_context;
mod inherit;
mod log;
#[cfg(feature = "observe")]
pub mod observe;
mod on_drop;
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
#[cfg_attr(docsrs, doc(cfg(all(feature = "runtime-hooks", tokio_unstable))))]
pub mod runtime;
mod scoped;
mod storage;
#[cfg(feature = "tokio")]
pub mod task;
pub mod thread;
mod token;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "tracing")]
pub mod tracing;
mod var;

pub use context::{AnyContextVar, Context, Iter, copy_context, inherit_context};
pub use error::{ApplyError, LookupError, ResetError, ResetErrorKind, SetError, WriteErrorKind};
pub use in_context::InContext;
#[cfg(feature = "stream")]
pub use in_context::StreamInContext;
pub use log::for_each_log_field;
pub use scoped::{Scoped, ScopedAndContext};
pub use storage::Entry;
pub use token::{ResetOnDrop, Token};
pub use var::{ContextValue, ContextVar};

/// Makes a static a context variable.
///
/// A `static NAME: T = value;` becomes a `static NAME: ContextVar<T>` with that default. The value is any
/// expression; it is evaluated once per process, when the default is first needed (see
/// [`ContextVar::with_default`]). Without a value,
/// `static NAME: T;`, there is no default. Visibility, docs and other attributes stay.
///
/// It works wherever a static can stand: in modules, functions and methods. There is no list form, as
/// `thread_local!` has one: a static each is what rustfmt, editors and `grep` know, and it is no longer.
///
/// # Arguments
///
/// - `name = "..."`: the name for messages. The default is the static's identifier.
/// - `secret`: the value is never shown, see [`ContextVar::secret`].
/// - `log`: logs show the value, through `Display`, or `Debug` where it has none: see [`ContextVar::log`].
/// - `baggage = "key"`, `codec = Codec` (feature `baggage`): the value goes along with requests to other processes, see
///   `contextvar::baggage`.
/// - `inherit = false`: the value stays in its task, see [`ContextVar::inherit`].
/// - `crate = path`: where the `contextvar` crate is, if not at `::contextvar`.
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
/// `tokio::spawn(f())` carries the caller's context, and `ctx.run(|| f())` gives a future that runs in a
/// copy of `ctx`. What the body sets is not seen by the caller.
///
/// The future is `Send` where that of the plain `async fn` is, and at most 24 bytes larger. `cargo check` of 500
/// annotated functions takes 1.21 times as long as that of the plain ones (2.6 s, medians of 15 runs, `scripts/compile-time`).
///
/// # Where it goes
///
/// - On functions and methods, in traits and their implementations, above or below `#[tokio::main]`,
///   `#[tokio::test]` and the like.
/// - On a plain `fn`: its body runs in a copy. If it returns a future (`impl Future`, `Pin<Box<dyn Future>>`,
///   `BoxFuture`), that runs in the copy too.
/// - On an `impl` block, a trait or an inline module, where it counts for every function that is async or
///   returns a future. Above or below `#[async_trait]`; the future is boxed once.
/// - Not on closures, where attributes are not stable. What they return has a method:
///   `|x| f(x).in_copied_context()` (see [`InContext`]).
///
/// A method of a trait that has no body has nothing to run: annotate its implementations. A trait all of whose async methods
/// have none is an error.
///
/// An `async fn main()` without a runtime's attribute is rustc's error E0752, as without this attribute. To get that message, the
/// macro leaves every private `async fn main()` async. One that is not the program's `main` takes its copy at the first poll.
///
/// # Beside other macros
///
/// Macros that copy attributes may put this one where no macro can stand. These orders work, each with a test:
///
/// - mockall: on an `impl` block, above or below `#[automock]`, or on the `impl` of a trait that has `#[automock]`. Not on a
///   method below `#[automock]`, and not on such a trait: mockall copies those attributes to statements.
/// - easy_ext: above or below `#[ext]`, or on a method.
/// - fastrace and tracing: above or below `#[trace]` and `#[instrument]`.
///
/// # Lints
///
/// Lints see an annotated function as you wrote it. The file `docs/lints.md` of the repository lists the few differences, and a test
/// keeps the list. One of them: `#[must_use]` on an annotated `async fn` does not count for the awaited value. Put it on the type
/// that is returned.
///
/// A plain `fn` whose return type only hides a future (an alias, `impl` of a trait of your own, `impl
/// IntoFuture`) can't be told from others: only its body runs in the copy. Where it is a boxed future that is an error,
/// which `future` answers; in an annotated `impl`, trait or module such a function is left alone. One that returns
/// `impl Fn(..)` may need its closure's argument types written out.
///
/// What rustc sees is a `fn` that returns an async block (the file `expansions.md` of contextvar-macros has all
/// shapes). So a message may say "async block" or "closure" where it said "function", and in a plain
/// `#[track_caller]` fn `Location::caller()` is not the caller's.
///
/// # Arguments
///
/// - `future`: the function returns a boxed future under a name that does not say so.
/// - `skip`: leaves a function out of an annotated `impl`, trait or module.
/// - `VAR = value`, any number of them: set in the copy, in order, before the body: at the first poll of an
///   `async fn` (and of a `fn` that is nothing but a `Box::pin(async ..)`), at the call of a plain `fn`. The
///   values are expressions; they see the function's arguments, and what was set before them.
/// - `crate = path`: where the `contextvar` crate is, if not at `::contextvar`.
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
/// It is [`#[with_copied_context]`](macro@with_copied_context) in all else: it goes where that goes, and takes the same
/// arguments. On a function in an `impl` block, a trait or a module that has the one attribute, the other one
/// counts.
///
/// # For tests
///
/// A `#[test]` runs in its thread's own context, and may find there what another one has set: under
/// `--test-threads=1` all run on one thread. With this attribute each starts from nothing, or from its entries, and leaves
/// nothing behind. It goes above or below `#[test]`, `#[tokio::test]` and `#[rstest]`:
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
/// rstest puts it on the test that it makes of each case: entries can't use the case's arguments there.
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
/// Without the attribute it is `Context::new().run(|| ..)`, or `Context::new().scope(..)` for a future.
#[cfg(feature = "macros")]
pub use contextvar_macros::with_empty_context;

#[cfg(feature = "macros")]
#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

/// The programs in the README and in the pages, compiled and run.
#[cfg(all(
    doctest,
    feature = "baggage",
    feature = "macros",
    feature = "tokio",
    feature = "tower",
    feature = "tracing"
))]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/across-processes.md")]
    struct AcrossProcesses;
    #[doc = include_str!("../../docs/following.md")]
    struct Following;
    #[doc = include_str!("../../docs/migrating.md")]
    struct Migrating;
}
