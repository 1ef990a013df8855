//! Lists the contexts that tasks, threads and requests have now: where each was handed over, what it carries, how
//! long it has lived, and which requests have finished while their tasks live on.
//!
//! [`enable`] turns the list on. From then on each context that is handed to other work is in the list until it is
//! let go of. [`snapshot`] returns the list, [`on_signal`] prints it, and [`page`] serves it as a page that
//! updates while you look at it.
//!
//! ```
//! use contextvar::{ContextVar, inspect, thread};
//!
//! static TENANT: ContextVar<&str> = ContextVar::new("tenant").debug();
//!
//! inspect::enable();
//! TENANT.set("acme");
//! # let (stop, stopped) = std::sync::mpsc::channel::<()>();
//! let worker = thread::spawn(move || stopped.recv());
//!
//! let snapshot = inspect::snapshot();
//! let context = snapshot.roots().next().unwrap();
//! assert_eq!(context.kind(), inspect::Kind::Thread);
//! assert_eq!(context.location().file(), file!());
//! assert_eq!(context.variables().collect::<Vec<_>>(), [("tenant", r#""acme""#)]);
//!
//! drop(stop);
//! worker.join().unwrap().unwrap_err();
//! assert!(inspect::snapshot().is_empty());
//! ```
//!
//! # What is listed
//!
//! A context is listed under the context that is current where it is handed over: its parent. [`Kind`] has all the
//! ways. Contexts that code only enters, with [`Context::run`](crate::Context::run), are not listed. Nor are the
//! ones that were handed over before [`enable`].
//!
//! A context that has finished stays in the list while contexts that it has handed over, directly or not, live on.
//! It has no variables any more: the list keeps no value alive.
//!
//! On a runtime with hooks (`contextvar::runtime`) each task has a context. Where
//! `contextvar::task::spawn` starts a task on such a runtime, the task has two, and both are listed.
//!
//! # Cost
//!
//! Off, a poll takes two instructions more than without the feature. On, it takes some 10 ns more, a hand-over some
//! 60 ns, and a listed context some 200 bytes: `docs/benchmarks-inspect.md` in the repository. A thread writes the
//! time every millisecond while contexts are polled. So all times are exact to a millisecond; the busy time of
//! many short polls is exact on average.
//!
//! # Privacy
//!
//! Values are shown as their `Debug` shows them, and as `<redacted>` if the variable is [secret]. A value's text is
//! cut after 256 bytes. [`page`] answers only requests from the same machine, unless you set
//! [another rule](Page::allow).
//!
//! [secret]: crate::ContextVar::secret

mod clock;
mod entry;
mod finished;
mod list;
mod lost;
mod page;
#[cfg(unix)]
mod signal;
mod snapshot;
mod thread;
mod tree;

use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use entry::{Entry, Listing};
pub use page::{Page, PageBody};
#[cfg(unix)]
pub use signal::on_signal;
pub use snapshot::{ListedContext, Snapshot, snapshot};

use crate::current::innermost_own_entry;
pub use crate::hand_over::Kind;

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Returns true if contexts are listed.
#[inline]
pub(crate) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Lists each context that is handed over from now on. Counts the places that read without a context as well, for
/// [`report::all`](crate::report::all).
///
/// If you also set a [reporter](crate::report::set_reporter), set it first: it is not called for places that were
/// counted before.
pub fn enable() {
    crate::report::count_places();
    if !IS_ON.swap(true, Ordering::Relaxed) {
        list::begin_record();
    }
}

/// Lists no more contexts. Those that are listed stay in the list until they are let go of.
pub fn disable() {
    IS_ON.store(false, Ordering::Relaxed);
    list::forget_finished();
}

/// Returns true if contexts are listed: after [`enable`], [`on_signal`] or [`page`].
pub fn is_enabled() -> bool {
    is_on()
}

/// Names the listed context that this code runs in, for people who read the list. Does nothing outside of listed
/// contexts, nor in a task that is polled inside the context of another one.
///
/// tokio does not tell its own names of tasks, so a task that has one can repeat it here.
///
/// ```
/// use contextvar::{inspect, thread};
///
/// inspect::enable();
/// thread::spawn(|| {
///     inspect::set_name("refresh of prices");
///     let snapshot = inspect::snapshot();
///     assert_eq!(snapshot.roots().next().unwrap().name(), Some("refresh of prices"));
/// })
/// .join()
/// .unwrap();
/// ```
pub fn set_name(name: impl Into<String>) {
    if let Some(entry) = innermost_own_entry() {
        entry.set_name(name.into().into());
    }
}

/// Returns a service for one route of a server, which shows the list as a page. Turns the list on, as [`enable`]
/// does. [`Page`] has the lines for axum, hyper, tonic and actix.
pub fn page() -> Page {
    enable();
    Page::new()
}
