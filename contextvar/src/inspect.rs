//! Lists the live contexts of tasks, threads and requests: where each was handed over, its variables, its age, and
//! the requests that have finished while their tasks live on.
//!
//! [`enable`] turns the list on. From then on the list has each context that is handed to other work, until that
//! work lets go of it. [`snapshot`] returns the list, [`on_signal`] prints it, and [`page`] serves it as a page
//! that updates while you look at it.
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
//! # Listed contexts
//!
//! The parent of a listed context is the context that was current at the hand-over. [`Kind`] names all ways to hand
//! a context over. A task of `task::spawn_in_empty_context` has no parent, because it is meant to outlive the code
//! that spawns it. Contexts that code only enters, with [`Context::run`](crate::Context::run), and contexts handed
//! over before [`enable`] are not listed.
//!
//! A finished context stays in the list while contexts that it handed over, directly or not, live on. It no longer
//! has variables: the list keeps no value alive.
//!
//! On a runtime with hooks (`contextvar::runtime`) each task has a context. A task that `contextvar::task::spawn`
//! starts on such a runtime has two, and both are listed.
//!
//! # Cost
//!
//! While the list is off, the feature adds two instructions to a poll. While it is on, it adds about 8 ns to a poll,
//! 60 to 75 ns to a hand-over, and about 200 bytes per context. `docs/benchmarks-inspect.md` in the repository has
//! all figures.
//!
//! While contexts are polled, a thread writes the time every millisecond. So each time is accurate to a millisecond,
//! and the busy time of many short polls is accurate on average.
//!
//! A child process that is forked without an `exec`, as Python's `multiprocessing` can do, has no such thread. Its
//! times stand still.
//!
//! # Privacy
//!
//! The list shows the `Debug` output of each value, cut after 256 bytes, and `<redacted>` for a [secret] variable.
//! [`page`] answers only requests from the same machine, unless you set [another rule](Page::allow).
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

/// Lists each context that is handed over from now on. Also counts the places that read or write without a context,
/// for [`report::all`](crate::report::all).
///
/// If you also set a [reporter](crate::report::set_reporter), set it first: it is not called for places that were
/// counted earlier.
pub fn enable() {
    crate::report::count_places();
    if !IS_ON.swap(true, Ordering::Relaxed) {
        list::begin_record();
    }
}

/// Stops listing new contexts. Listed contexts stay in the list until they finish. Clears the record of finished
/// contexts.
pub fn disable() {
    IS_ON.store(false, Ordering::Relaxed);
    list::forget_finished();
}

/// Returns true while the list is on: after [`enable`], [`on_signal`] or [`page`], until [`disable`].
pub fn is_enabled() -> bool {
    is_on()
}

/// Names the listed context that this code runs in, for people who read the list. Does nothing outside of listed
/// contexts, and in a task that is polled inside another task's context.
///
/// tokio does not expose the names of its tasks, so repeat such a name here.
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

/// Returns a service that shows the list as a page, for one route of a server. Turns the list on, like [`enable`].
/// [`Page`] has examples for axum, hyper, tonic and actix.
pub fn page() -> Page {
    enable();
    Page::new()
}
