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
//! ```
//!
//! # What is reported
//!
//! [Ways to lose a context](crate::guide::lost) lists the mistakes that we know. What is reported, each with
//! its [`Cause`]:
//!
//! - A read of an unset variable in a tokio task that was given no context, whether the variable has a
//!   default or not. Also a read in a copy that such a task has taken, for example in the body of a function
//!   with `#[with_copied_context]`.
//! - A read of an unset variable without a default in a task that is polled inside another task's context.
//! - A `set`, a `sync_scope` and an `apply_changes_to_current` where no context can be written.
//! - The first `set` in the context of a task that serves a connection: the connection's next requests would
//!   see the value. Backtraces show whether hyper serves a connection, so this needs a binary with symbols.
//! - With [`report_threads`], a read of an unset variable on a thread that is neither tokio's nor the main
//!   thread, outside of any context.
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
//! # Cost
//!
//! Reads and writes inside a context cost the same with and without this feature. A read without a context
//! takes less than 100 instructions more once its place is known, and about 15 more without a reporter.
//! With a reporter, the first `set` in a context that was made for another task looks for its place, too, and
//! the 1st, 2nd, 4th, 8th, .. such `set` of a place takes a backtrace.

use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use once_cell::race::OnceRef;

use crate::current::{TaskId, WriteErrorKind, task_id};
use crate::on_drop::OnDrop;

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
    /// The code runs in a tokio task that is polled inside another task's context.
    OtherTask,
    /// The code runs in the context of a task that serves a connection, which the connection's requests
    /// share.
    Connection,
    /// The code runs on a thread that is not tokio's, outside of any context.
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
        self.place.task
    }

    /// Returns the place where that task was spawned, if its runtime has the hooks [`record_spawn`] and
    /// [`forget_spawn`].
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.place.spawned_at
    }

    /// Returns how often this place has read or written the variable in this way so far. For
    /// [`Cause::Connection`], that is the number of contexts in which it was the first to write.
    pub fn count(&self) -> u64 {
        self.place.count.load(Ordering::Relaxed)
    }

    /// Returns what to write instead.
    pub fn remedy(&self) -> &'static str {
        crate::error::remedy(self.place.cause)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { location, variable, access, cause, .. } = self.place;
        let verb = match access {
            Access::Read => "was read",
            Access::Write if *cause == Cause::Connection => "was set",
            Access::Write => "cannot be set",
        };
        write!(f, "{location}: context variable `{variable}` {verb} in ")?;
        #[cfg(feature = "tokio")]
        match self.place.task {
            Some(task) => write!(f, "tokio task {task}")?,
            None => f.write_str("this thread")?,
        }
        #[cfg(not(feature = "tokio"))]
        f.write_str("this thread")?;
        #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
        if let Some(location) = self.place.spawned_at {
            write!(f, " (spawned at {location})")?;
        }
        f.write_str(match cause {
            Cause::NoContext => ", which was given no context",
            Cause::LostContext => ", in a context that was copied where there was none",
            Cause::OtherTask => ", which is polled inside the context of another task",
            Cause::Connection => ", which serves a connection: its next requests see the value",
            Cause::Thread => ", which runs outside of any context",
            Cause::ThreadExit => ", which is exiting",
        })?;
        write!(f, ". {}", self.remedy())
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

/// True if there is a reporter.
static IS_ON: AtomicBool = AtomicBool::new(false);

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
    IS_ON.store(true, Ordering::Relaxed);
    drop(old);
}

/// Sets whether reads on threads that are not tokio's are reported, outside of any context. The default is
/// no. The main thread is never reported.
pub fn report_threads(reports: bool) {
    REPORTS_THREADS.store(reports, Ordering::Relaxed);
}

/// A reporter that prints the report to standard error.
pub fn stderr(report: Report) {
    eprintln!("contextvar: {report}");
}

/// A reporter that logs the report as a warning of `tracing`.
#[cfg(feature = "tracing")]
pub fn tracing(report: Report) {
    ::tracing::warn!(target: "contextvar", variable = report.variable(), place = %report.location(), "{report}");
}

/// A reporter that panics in the reading or writing code. For tests.
pub fn panic(report: Report) {
    panic!("{report}");
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

struct Place {
    location: &'static Location<'static>,
    variable: &'static str,
    access: Access,
    cause: Cause,
    #[cfg_attr(not(feature = "tokio"), expect(dead_code, reason = "always `None`"))]
    task: Option<TaskId>,
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    spawned_at: Option<&'static Location<'static>>,
    count: AtomicU64,
    next: Link,
}

impl Place {
    /// A write that is refused and one in a connection's context are different mistakes, also at one place.
    #[inline]
    fn is_of_kind(&self, access: Access, cause: Cause) -> bool {
        let is_in_connection = |cause| cause == Cause::Connection;
        self.access == access && is_in_connection(self.cause) == is_in_connection(cause)
    }
}

type Link = OnceRef<'static, Place>;

const BUCKETS: usize = 256;

/// The known places, by a hash of the line and the variable. A list in each bucket, which only grows.
static PLACES: [Link; BUCKETS] = [const { Link::new() }; BUCKETS];

/// All places in the order of their reports. Locked while one is added.
static ORDER: Mutex<Vec<Report>> = Mutex::new(Vec::new());

/// Returns true if there is a reporter.
#[inline]
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
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
    if !is_on() || IGNORES.get() {
        return;
    }
    let hash = (location.line() as usize).wrapping_mul(31) ^ variable.as_ptr().addr() >> 3;
    let start = &PLACES[hash % BUCKETS];
    let mut link = start;
    while let Some(place) = link.get() {
        if ptr::eq(place.location, location)
            && ptr::eq(place.variable, variable)
            && place.is_of_kind(access, cause)
        {
            place.count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        link = &place.next;
    }
    find_or_add(start, variable, access, cause, location);
}

/// Counts an access at a place that is new, or that is known by another address of its `Location`.
#[cold]
#[inline(never)]
fn find_or_add(
    start: &'static Link,
    variable: &'static str,
    access: Access,
    cause: Cause,
    location: &'static Location<'static>,
) {
    let is_it = |place: &Place| {
        place.location == location && place.variable == variable && place.is_of_kind(access, cause)
    };
    match find(start, is_it) {
        Ok(place) => {
            place.count.fetch_add(1, Ordering::Relaxed);
        }
        Err(_) => add(start, is_it, variable, access, cause, location),
    }
}

/// Returns the place, or the link at the end of the list.
fn find(mut link: &'static Link, is_it: impl Fn(&Place) -> bool) -> Result<&'static Place, &'static Link> {
    while let Some(place) = link.get() {
        if is_it(place) {
            return Ok(place);
        }
        link = &place.next;
    }
    Err(link)
}

#[cold]
fn add(
    start: &'static Link,
    is_it: impl Fn(&Place) -> bool,
    variable: &'static str,
    access: Access,
    cause: Cause,
    location: &'static Location<'static>,
) {
    if cause == Cause::Thread && is_main_thread() {
        return;
    }
    let task = task_id();
    let mut order = ORDER.lock().unwrap_or_else(PoisonError::into_inner);
    let end = match find(start, is_it) {
        // Another thread has added it meanwhile.
        Ok(place) => {
            place.count.fetch_add(1, Ordering::Relaxed);
            return;
        }
        Err(end) => end,
    };
    let place: &'static Place = Box::leak(Box::new(Place {
        location,
        variable,
        access,
        cause,
        task,
        #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
        spawned_at: task.and_then(spawns::location),
        count: AtomicU64::new(1),
        next: Link::new(),
    }));
    let is_free = end.set(place);
    debug_assert!(is_free.is_ok(), "places are added under the lock");
    order.push(Report { place });
    drop(order);
    let reporter = REPORTER.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(reporter) = reporter {
        ignore(|| reporter(Report { place }));
    }
}

/// Notes a read of an unset variable on a thread that is not tokio's.
#[cold]
pub(crate) fn note_on_thread(variable: &'static str, location: &'static Location<'static>) {
    if REPORTS_THREADS.load(Ordering::Relaxed) {
        note(variable, Access::Read, Cause::Thread, location);
    }
}

/// Notes the first write in a context that was made for another task, if that task serves a connection.
#[cold]
pub(crate) fn note_first_write(variable: &'static str, location: &'static Location<'static>) {
    /// How often each place was the first to write in such a context.
    static COUNTS: LazyLock<Mutex<HashMap<(&'static str, &'static Location<'static>), u64>>> =
        LazyLock::new(Mutex::default);

    if !IS_ON.load(Ordering::Relaxed) || IGNORES.get() || task_id().is_none() {
        return;
    }
    #[cfg(any(feature = "hyper", feature = "tower"))]
    if crate::request::is_in_request() {
        return;
    }
    let count = {
        let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((variable, location)).or_default();
        *count += 1;
        *count
    };
    // The same place can write in other tasks, too, so one look is not enough; each one is slow.
    if count.is_power_of_two() && is_in_connection() {
        note(variable, Access::Write, Cause::Connection, location);
    }
}

/// Returns true if hyper calls this code while it serves a connection, and not in the task of one stream of
/// HTTP/2.
fn is_in_connection() -> bool {
    let backtrace = Backtrace::force_capture().to_string();
    ["hyper::proto::h1::dispatch", "hyper::proto::h2::server::Serving"]
        .iter()
        .any(|it| backtrace.contains(it))
}

fn is_main_thread() -> bool {
    std::thread::current().name() == Some("main")
}

#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub use spawns::{forget_spawn, record_spawn};

/// The places where tasks were spawned.
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
mod spawns {
    use std::collections::HashMap;
    use std::panic::Location;
    use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

    use tokio::runtime::TaskMeta;
    use tokio::task::Id;

    type Spawns = HashMap<Id, &'static Location<'static>>;

    static SPAWNS: LazyLock<Mutex<Spawns>> = LazyLock::new(Mutex::default);

    fn lock() -> MutexGuard<'static, Spawns> {
        SPAWNS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A hook for tokio's `Builder::on_task_spawn` that records where each task is spawned, for
    /// [`Report::spawned_at`](super::Report::spawned_at). Needs feature `runtime-hooks`, with tokio 1.46.1 or
    /// newer.
    ///
    /// ```
    /// use contextvar::report;
    ///
    /// let runtime = tokio::runtime::Builder::new_multi_thread()
    ///     .on_task_spawn(report::record_spawn)
    ///     .on_task_terminate(report::forget_spawn)
    ///     .build()
    ///     .unwrap();
    /// # drop(runtime);
    /// ```
    pub fn record_spawn(task: &TaskMeta<'_>) {
        lock().insert(task.id(), task.spawned_at());
    }

    /// A hook for tokio's `Builder::on_task_terminate` that removes what [`record_spawn`] recorded.
    pub fn forget_spawn(task: &TaskMeta<'_>) {
        lock().remove(&task.id());
    }

    pub(super) fn location(task: Id) -> Option<&'static Location<'static>> {
        lock().get(&task).copied()
    }
}
