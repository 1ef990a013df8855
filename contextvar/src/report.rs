//! Reports reads and writes that find no context: where, which variable, and what to write instead.
//!
//! A tokio task that was given no context finds no variable set. A read there returns the default, and the
//! request's value is lost without a sign. Turn the reports on in one line of `main`:
//!
//! ```
//! use contextvar::{ContextVar, report};
//!
//! static TENANT: ContextVar<&str> = ContextVar::with_default("tenant", || "public");
//!
//! # #[cfg(feature = "tokio")] {
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! report::set_reporter(report::stderr);
//!
//! TENANT.set("acme");
//! // A mistake: `contextvar::task::spawn` would carry the context along.
//! let task = tokio::spawn(async { TENANT.get() });
//! assert_eq!(task.await.unwrap(), "public");
//!
//! let reports = report::all();
//! assert_eq!((reports.len(), reports[0].variable()), (1, "tenant"));
//! # }
//! # main();
//! # }
//! ```
//!
//! It prints, once for each place and variable:
//!
//! ```text
//! contextvar: src/main.rs:11:44: context variable `tenant` was read in tokio task 3, which was given no context. Start a ..
//! see https://docs.rs/contextvar/latest/contextvar/guide/errors#no-context
//! ```
//!
//! # What is reported
//!
//! [Ways to lose a context][lost] lists the mistakes that we know. What is reported, each with
//! its [`Cause`]:
//!
//! - A read of an unset variable in a tokio task that was given no context, whether the variable has a
//!   default or not. Also a read in a copy that such a task has taken, for example in the body of a function
//!   with `#[with_copied_context]`.
//! - A read of an unset variable without a default in a task that is polled inside another task's context.
//! - A `set`, a `sync_scope` and an `apply_changes_to_current` where no context can be written.
//! - A `set` in the context of a task that serves a connection: the connection's next requests would see the
//!   value. Backtraces show whether hyper serves a connection, so this needs a binary with symbols. It works
//!   in tasks that are spawned after `set_reporter`.
//! - With [`report_threads`], a read of an unset variable in the own context of a thread that is neither
//!   tokio's nor the main thread.
//!
//! # What is not
//!
//! - A read in a copy that a thread has taken of its own context, which is a context, even if it is empty.
//! - Code in an empty context that was made on purpose: in a [`Context::new`](crate::Context::new), a task of
//!   `task::spawn_in_empty_context`, or a function with `#[with_empty_context]`.
//! - [`is_set`](crate::ContextVar::is_set), [`copy_context`](crate::copy_context), and the reads of loggers
//!   and exporters ([`for_each_log_field`](crate::for_each_log_field), `contextvar::baggage`).
//! - Variables that are declared with [`report(false)`](crate::ContextVar::report), and code inside
//!   [`ignore`].
//!
//! [lost]: https://docs.rs/contextvar/latest/contextvar/guide/lost/index.html
//!
//! # Cost
//!
//! Reads inside a context cost the same with and without this feature. A `set` costs up to 6 instructions
//! more. A read without a context takes less than 100 instructions more once its place is known, and about 15
//! more without a reporter. With a reporter, a `set` in a context that another task made also looks up its
//! place, and each time that their number at a place doubles, it takes a backtrace.

mod places;
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
mod spawns;

use std::backtrace::Backtrace;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use places::Place;
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub use spawns::{forget_spawn, record_spawn};

use crate::current::{self, LookupErrorKind, WriteErrorKind, task_id};
use crate::error::{Described, address};
use crate::on_drop::OnDrop;

/// The name that an `apply_changes_to_current` has in place of a variable's.
pub(crate) const APPLY: &str = "apply_changes_to_current";

/// A place that reads or writes a variable without a context.
#[derive(Clone, Copy)]
pub struct Report {
    place: &'static Place,
}

/// A read or a write. See [`Report::access`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A read of a variable that is not set.
    Read,
    /// A write that was refused, or one in a context that a connection's requests share.
    Write,
}

/// What is wrong at the place of a [`Report`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The code runs in a tokio task that was given no context.
    NoContext,
    /// The current context is a copy that was taken where there was no context, or a copy of such a copy.
    LostContext,
    /// The code runs in a tokio task that is polled inside a context that another task or other code entered.
    OtherTask,
    /// The code runs in the context of a task that serves a connection, which the connection's requests
    /// share.
    Connection,
    /// The code runs on a thread that is not tokio's, in the thread's own context, which inherits nothing.
    Thread,
    /// The thread is exiting, and its own context is gone.
    ThreadExit,
}

impl From<WriteErrorKind> for Cause {
    fn from(kind: WriteErrorKind) -> Self {
        match kind {
            WriteErrorKind::NoContext => Cause::NoContext,
            WriteErrorKind::OtherTask => Cause::OtherTask,
            WriteErrorKind::ThreadExit => Cause::ThreadExit,
        }
    }
}

impl Report {
    /// Returns the variable's name. The name for an
    /// [`apply_changes_to_current`](crate::Context::apply_changes_to_current) is `apply_changes_to_current`.
    pub fn variable(&self) -> &'static str {
        self.place.variable
    }

    /// Returns the place of the read or the write.
    pub fn location(&self) -> &'static Location<'static> {
        self.place.location
    }

    /// Returns whether the place reads or writes.
    pub fn access(&self) -> Access {
        self.place.access
    }

    /// Returns what was wrong the first time.
    pub fn cause(&self) -> Cause {
        self.place.cause
    }

    /// Returns the id of the tokio task that was the first one at this place.
    #[cfg(feature = "tokio")]
    pub fn task(&self) -> Option<tokio::task::Id> {
        self.place.task()
    }

    /// Returns the place where that task was spawned, if its runtime has the hooks [`record_spawn`] and
    /// [`forget_spawn`].
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.place.spawned_at()
    }

    /// Returns how often this place has read or written the variable in this way since its first report.
    pub fn count(&self) -> u64 {
        self.place.count.load(Ordering::Relaxed)
    }

    /// Returns what to write instead.
    pub fn remedy(&self) -> &'static str {
        crate::error::remedy(self.place.cause)
    }

    /// Returns the first sentence of the text, without its period.
    pub(crate) fn what(&self) -> impl fmt::Display {
        What(self.place)
    }
}

impl fmt::Display for Report {
    /// Formats what happened and what to write instead. A second line has the address of the cause's
    /// [entry in the guide](https://docs.rs/contextvar/latest/contextvar/guide/errors).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}\nsee {}", self.what(), self.remedy(), self.address())
    }
}

impl Described for Report {
    fn address(&self) -> &'static str {
        match self.place.cause {
            Cause::NoContext => address!("no-context"),
            Cause::LostContext => address!("lost-context"),
            Cause::OtherTask => address!("other-task"),
            Cause::Connection => address!("connection"),
            Cause::Thread => address!("thread"),
            Cause::ThreadExit => address!("thread-exit"),
        }
    }
}

/// Formats what happened at a place.
struct What(&'static Place);

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { location, variable, access, cause, .. } = self.0;
        write!(f, "{location}: ")?;
        let is_set = *cause == Cause::Connection;
        match access {
            _ if *variable == APPLY && is_set => f.write_str("the changes of a context were applied")?,
            _ if *variable == APPLY => f.write_str("the changes of a context cannot be applied")?,
            Access::Read => write!(f, "context variable `{variable}` was read")?,
            Access::Write if is_set => write!(f, "context variable `{variable}` was set")?,
            Access::Write => write!(f, "context variable `{variable}` cannot be set")?,
        }
        #[cfg(feature = "tokio")]
        match self.0.task() {
            Some(task) => write!(f, " in tokio task {task}")?,
            None => f.write_str(" in this thread")?,
        }
        #[cfg(not(feature = "tokio"))]
        f.write_str(" in this thread")?;
        #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
        if let Some(location) = self.0.spawned_at() {
            write!(f, " (spawned at {location})")?;
        }
        f.write_str(match cause {
            Cause::NoContext => ", which was given no context",
            Cause::LostContext => ", in a context that was copied where there was none",
            Cause::OtherTask => ", which is polled inside the context of another task or of other code",
            Cause::Connection => ", which serves a connection: its next requests see the value",
            Cause::Thread => ", in the thread's own context, which inherits nothing",
            Cause::ThreadExit => ", which is exiting",
        })
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report")
            .field("location", &format_args!("{}", self.location()))
            .field("variable", &self.variable())
            .field("access", &self.access())
            .field("cause", &self.cause())
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

type Reporter = Arc<dyn Fn(Report) + Send + Sync>;

static REPORTER: RwLock<Option<Reporter>> = RwLock::new(None);

/// True if places are counted: there is a reporter, or `inspect` is on.
static IS_ON: AtomicBool = AtomicBool::new(false);

/// True if there is a reporter.
static HAS_REPORTER: AtomicBool = AtomicBool::new(false);

static REPORTS_THREADS: AtomicBool = AtomicBool::new(false);

/// Calls `reporter` for each place that reads or writes a variable without a context: once for each place and
/// variable, on the thread and at the time of the first access. Replaces the last reporter, and does not
/// repeat what was reported before.
///
/// Use [`stderr`], [`panic()`], `tracing` (feature `tracing`), or a closure. What the reporter itself reads
/// is not reported.
///
/// ```
/// use std::sync::mpsc;
///
/// use contextvar::report;
///
/// let (sender, reports) = mpsc::channel();
/// report::set_reporter(move |report| drop(sender.send(report.to_string())));
/// # drop(reports);
/// ```
pub fn set_reporter(reporter: impl Fn(Report) + Send + Sync + 'static) {
    let old = REPORTER.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(reporter));
    HAS_REPORTER.store(true, Ordering::Relaxed);
    IS_ON.store(true, Ordering::Relaxed);
    drop(old);
}

/// Sets whether reads in the own contexts of threads that are not tokio's are reported. The default is no.
/// The main thread is never reported.
pub fn report_threads(reports: bool) {
    REPORTS_THREADS.store(reports, Ordering::Relaxed);
}

/// A reporter that prints the report to standard error.
pub fn stderr(report: Report) {
    eprintln!("contextvar: {report}");
}

/// A reporter that logs the report as a warning of `tracing`. The address of the cause's entry is the field
/// `see`, so that the message stays on one line.
#[cfg(feature = "tracing")]
pub fn tracing(report: Report) {
    ::tracing::warn!(
        target: "contextvar",
        variable = report.variable(),
        place = %report.location(),
        see = report.address(),
        "{}. {}",
        report.what(),
        report.remedy(),
    );
}

/// A reporter that panics in the reading or writing code. For tests.
pub fn panic(report: Report) {
    panic!("{report}");
}

/// Counts the places that read without a context, or cannot write, from now on. Without a reporter, no write takes
/// a backtrace to find out whether it is in a connection.
#[cfg(feature = "inspect")]
pub(crate) fn count_places() {
    IS_ON.store(true, Ordering::Relaxed);
}

thread_local! {
    static IGNORES: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` without reports of what it reads and writes on this thread.
///
/// ```
/// use contextvar::{ContextVar, report};
///
/// static LOCALE: ContextVar<&str> = ContextVar::with_default("locale", || "en");
///
/// // Correct with and without a context.
/// let locale = report::ignore(|| LOCALE.get());
/// assert_eq!(locale, "en");
/// ```
pub fn ignore<R>(f: impl FnOnce() -> R) -> R {
    let outer = IGNORES.replace(true);
    let _restore = OnDrop(|| IGNORES.set(outer));
    f()
}

/// Returns the places that were reported so far, in the order of their reports, with their counts.
pub fn all() -> Vec<Report> {
    ORDER.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// All places in the order of their reports.
static ORDER: Mutex<Vec<Report>> = Mutex::new(Vec::new());

/// Returns true if places are counted.
#[inline]
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Returns true if there is a reporter.
#[inline]
pub(crate) fn has_reporter() -> bool {
    HAS_REPORTER.load(Ordering::Relaxed)
}

/// Notes an access without a context. Reports its place if it is new.
#[cold]
#[inline(never)]
pub(crate) fn note(
    variable: &'static str,
    access: Access,
    cause: Cause,
    location: &'static Location<'static>,
) {
    if is_on() && !IGNORES.get() {
        count(places::find_or_add(variable, access, cause, location));
    }
}

/// Counts an access. Reports the place at its first one.
#[inline]
fn count(place: &'static Place) {
    if place.count.fetch_add(1, Ordering::Relaxed) == 0 {
        report(place);
    }
}

#[cold]
#[inline(never)]
fn report(place: &'static Place) {
    place.set_task(task_id());
    ORDER.lock().unwrap_or_else(PoisonError::into_inner).push(Report { place });
    let reporter = REPORTER.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(reporter) = reporter {
        ignore(|| reporter(Report { place }));
    }
}

/// Notes a read of an unset variable in a thread's own context.
#[cold]
pub(crate) fn note_on_thread(variable: &'static str, location: &'static Location<'static>) {
    thread_local! {
        static IS_MAIN: Cell<Option<bool>> = const { Cell::new(None) };
    }

    if !REPORTS_THREADS.load(Ordering::Relaxed) {
        return;
    }
    let is_main = IS_MAIN.get().unwrap_or_else(|| std::thread::current().name() == Some("main"));
    IS_MAIN.set(Some(is_main));
    if !is_main {
        let is_exiting = current::lookup_error_kind() == LookupErrorKind::ThreadExit;
        let cause = if is_exiting { Cause::ThreadExit } else { Cause::Thread };
        note(variable, Access::Read, cause, location);
    }
}

/// Notes a write in a context that another task made for this one. Reports it if this task serves a
/// connection.
#[cold]
pub(crate) fn note_watched_write(variable: &'static str, location: &'static Location<'static>) {
    if !has_reporter() || IGNORES.get() {
        return;
    }
    #[cfg(any(feature = "hyper", feature = "tower"))]
    if crate::request::is_in_request() {
        return;
    }
    let place = places::find_or_add(variable, Access::Write, Cause::Connection, location);
    let is_known = place.count.load(Ordering::Relaxed) > 0;
    // The same place can write in other tasks, too, so one look is not enough; each one is slow.
    if is_known || place.looks.fetch_add(1, Ordering::Relaxed).is_power_of_two() && is_in_connection() {
        count(place);
    }
}

/// Returns true if hyper calls this code while it serves a connection, and not in the task of one stream of
/// HTTP/2.
fn is_in_connection() -> bool {
    const SERVER: [&str; 3] =
        ["hyper::server::conn::", "hyper::proto::h1::dispatch::", "hyper::proto::h2::server::Serving"];
    const OTHER: [&str; 3] =
        ["hyper::client::", "hyper::proto::h1::dispatch::Client", "hyper::proto::h2::server::H2Stream"];

    let backtrace = Backtrace::force_capture().to_string();
    let contains = |name: &&str| backtrace.contains(*name);
    SERVER.iter().any(contains) && !OTHER.iter().any(contains)
}
