//! Helpers for the test modules.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::task::{self, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use contextvar::inspect::{self, Kind, ListedContext, Snapshot};
use contextvar::{Context, InContext, Scoped};

/// Evaluates an expression on one line. Returns its value and the number of that line.
macro_rules! at {
    ($value:expr) => {
        ($value, line!())
    };
}
pub(crate) use at;

/// Locked by tests that no other snapshot may disturb: a snapshot shares the values for a moment.
static SNAPSHOTS: RwLock<()> = RwLock::new(());

/// Calls `f` in a listed context that has no parent and no variables. Passes the context's number.
pub(crate) fn in_root<R>(f: impl FnOnce(u64) -> R) -> R {
    let _shared = SNAPSHOTS.read().unwrap_or_else(PoisonError::into_inner);
    in_new_root(f)
}

/// Does the same as [`in_root`], while no other test takes snapshots.
pub(crate) fn in_root_alone<R>(f: impl FnOnce(u64) -> R) -> R {
    let _alone = SNAPSHOTS.write().unwrap_or_else(PoisonError::into_inner);
    in_new_root(f)
}

fn in_new_root<R>(f: impl FnOnce(u64) -> R) -> R {
    inspect::enable();
    Context::new().bind(|| f(own_number()))()
}

/// Returns the number of the listed context that this code runs in, and names the context.
pub(crate) fn own_number() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);

    let name = format!("root {}", COUNT.fetch_add(1, Ordering::Relaxed));
    inspect::set_name(&*name);
    let snapshot = inspect::snapshot();
    snapshot.iter().find(|context| context.name() == Some(&name)).expect("listed").number()
}

/// Returns the only context below `root`.
#[track_caller]
pub(crate) fn only(root: u64) -> ListedContext {
    let snapshot = inspect::snapshot();
    match snapshot.descendants(root) {
        [context] => context.clone(),
        contexts => panic!("{contexts:#?}"),
    }
}

/// Waits until `is_reached` returns true for a snapshot. Returns that snapshot.
#[track_caller]
pub(crate) fn wait_until(is_reached: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let start = Instant::now();
    loop {
        let snapshot = inspect::snapshot();
        if is_reached(&snapshot) {
            return snapshot;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{snapshot:#?}");
        thread::yield_now();
    }
}

/// Waits until nothing is listed below `root`.
#[track_caller]
pub(crate) fn wait_until_empty(root: u64) {
    wait_until(|snapshot| snapshot.descendants(root).is_empty());
}

/// Checks the kind of the context, and the place of its hand-over.
#[track_caller]
pub(crate) fn assert_place(context: &ListedContext, kind: Kind, file: &str, line: u32) {
    let location = context.location();
    assert_eq!((context.kind(), location.file(), location.line()), (kind, file, line));
}

/// Returns the variables as `name=value`.
pub(crate) fn variables(context: &ListedContext) -> Vec<String> {
    context.variables().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Polls once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut task::Context::from_waker(Waker::noop()))
}

/// Makes code that has a `Scoped` forget its type.
pub(crate) fn boxed<F: Future>(scoped: Scoped<F>) -> Pin<Box<Scoped<F>>> {
    Box::pin(scoped)
}

/// Runs a closure when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<F: FnMut()> fmt::Debug for OnDrop<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnDrop")
    }
}

/// Calls `f`, which panics.
pub(crate) fn panics<R>(f: impl FnOnce() -> R) {
    assert!(panic::catch_unwind(AssertUnwindSafe(|| drop(f()))).is_err(), "`f` did not panic");
}

/// Returns a runtime on this thread.
pub(crate) fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// A listed context, of a future that runs the closures that it is given.
pub(crate) struct Unit {
    future: Pin<Box<Scoped<Runs>>>,
    next: Next,
}

type Next = Rc<RefCell<Option<Box<dyn FnOnce()>>>>;

struct Runs(Next);

impl Future for Runs {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut task::Context<'_>) -> Poll<()> {
        let next = self.0.borrow_mut().take();
        next.expect("a closure")();
        Poll::Pending
    }
}

impl Unit {
    /// Hands a copy of the current context over, and names it.
    pub(crate) fn new(name: &'static str) -> Unit {
        let next = Next::default();
        let mut unit = Unit { future: Box::pin(Runs(Rc::clone(&next)).in_copied_context()), next };
        unit.run(move || inspect::set_name(name));
        unit
    }

    /// Calls `f` in a poll.
    pub(crate) fn run<R: 'static>(&mut self, f: impl FnOnce() -> R + 'static) -> R {
        let result = Rc::new(RefCell::new(None));
        let to = Rc::clone(&result);
        *self.next.borrow_mut() = Some(Box::new(move || *to.borrow_mut() = Some(f())));
        assert!(poll(self.future.as_mut()).is_pending());
        result.take().expect("the poll has called `f`")
    }

    /// Hands a context over that has a copy of this one.
    pub(crate) fn child(&mut self, name: &'static str) -> Unit {
        self.run(move || Unit::new(name))
    }
}

/// Returns the trees below `root`: `name(children)`, with `!` after the name of a finished context.
pub(crate) fn shape(root: u64) -> String {
    fn write(snapshot: &Snapshot, number: u64, text: &mut String) {
        for (index, child) in snapshot.children(number).enumerate() {
            *text += if index > 0 { " " } else { "" };
            *text += child.name().unwrap_or("?");
            *text += if child.finished().is_some() { "!(" } else { "(" };
            write(snapshot, child.number(), text);
            *text += ")";
        }
    }

    let mut text = String::new();
    write(&inspect::snapshot(), root, &mut text);
    text.replace("()", "")
}
