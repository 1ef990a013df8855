//! The units of work.

use std::collections::BTreeSet;
use std::fmt;
use std::panic;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::task::{Context as TaskContext, Poll};

use contextvar::inspect::{self, Kind};
use contextvar::{ContextVar, InContext, StreamInContext, copy_context, task, thread, with_copied_context};
use futures::stream::{self, FuturesUnordered, StreamExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

use super::runtimes::Target;

/// The id of the unit that a context is for.
pub(crate) static UNIT: ContextVar<u64> = ContextVar::new("unit").debug();

pub(crate) static VALUE: ContextVar<Value> = ContextVar::new("value").debug();

/// A value that records its lifetime.
pub(crate) struct Value(u64);

static VALUES: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

impl Value {
    fn new(id: u64) -> Value {
        assert!(Value::lock().insert(id));
        Value(id)
    }

    fn lock() -> MutexGuard<'static, BTreeSet<u64>> {
        VALUES.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the ids of the values that have not been dropped.
    pub(crate) fn live() -> Vec<u64> {
        Value::lock().iter().copied().collect()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        assert!(Value::lock().remove(&self.0), "dropped once");
    }
}

/// A command to a unit. The unit answers each command.
pub(crate) enum Command {
    HandOver(Box<Order>),
    Set(u64),
    Unset,
    /// Yields to other tasks.
    Yield(u32),
    End,
    Panic,
}

/// The payload of the panics of [`Command::Panic`].
pub(crate) struct Deliberate;

/// The way to start a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Task,
    TaskInEmptyContext,
    /// A plain task of a runtime with hooks.
    #[cfg(tokio_unstable)]
    PlainTask,
    /// From a unit on a `LocalSet`.
    LocalTask,
    Inherited,
    Copied,
    Attribute,
    Stream,
    BoundAsync,
    /// Polled by the unit that has handed it over.
    Nested,
    BlockingCall,
    BlockingCallReturningContext,
    Thread,
    NamedThread,
    /// From a unit that blocks.
    ScopedThread,
    BoundClosure,
}

impl Way {
    pub(crate) fn is_blocking(self) -> bool {
        use Way::*;

        matches!(
            self,
            BlockingCall | BlockingCallReturningContext | Thread | NamedThread | ScopedThread | BoundClosure
        )
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Way::Task | Way::TaskInEmptyContext | Way::LocalTask | Way::Inherited => Kind::Task,
            #[cfg(tokio_unstable)]
            Way::PlainTask => Kind::Task,
            Way::Copied | Way::Attribute | Way::Nested => Kind::Scope,
            Way::Stream => Kind::Stream,
            Way::BoundAsync | Way::BoundClosure => Kind::Closure,
            Way::BlockingCall | Way::BlockingCallReturningContext => Kind::BlockingCall,
            Way::Thread | Way::NamedThread | Way::ScopedThread => Kind::Thread,
        }
    }
}

/// The data that the model and the unit share.
pub(crate) struct Unit {
    pub(crate) id: u64,
    /// The line of the hand-over.
    pub(crate) line: AtomicU32,
    pub(crate) polls: AtomicU64,
    pub(crate) abort: OnceLock<AbortHandle>,
    pub(crate) answers: mpsc::Sender<()>,
}

/// A unit that has not started yet.
pub(crate) struct Order {
    pub(crate) unit: Arc<Unit>,
    pub(crate) commands: UnboundedReceiver<Command>,
    pub(crate) way: Way,
    pub(crate) target: Target,
}

impl Unit {
    fn answer(&self) {
        let _ = self.answers.send(());
    }

    /// Begins to work in the unit's context.
    fn start(&self) {
        inspect::set_name(self.id.to_string());
        drop(UNIT.set(self.id));
        self.answer();
    }

    /// Executes a command that needs no more than a call. Returns a new unit that this one polls.
    fn execute(&self, command: Command, scope: Option<thread::Scope<'_, '_>>) -> Option<Nested> {
        let nested = match command {
            Command::HandOver(order) => hand_over(*order, scope),
            Command::Set(value) => {
                drop(VALUE.set(Value::new(value)));
                None
            }
            Command::Unset => {
                let base = copy_context();
                let mut without = base.clone();
                without.unset(&VALUE);
                without.apply_changes_to_current(&base);
                None
            }
            Command::Yield(_) => None,
            Command::End => None,
            Command::Panic => {
                self.answer();
                panic::panic_any(Deliberate)
            }
        };
        self.answer();
        nested
    }
}

type Nested = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Counts the polls of a unit's future.
struct Counted(Nested, Arc<Unit>);

impl Future for Counted {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        self.1.polls.fetch_add(1, Ordering::SeqCst);
        self.0.as_mut().poll(cx)
    }
}

fn live(unit: Arc<Unit>, mut commands: UnboundedReceiver<Command>) -> Counted {
    let of_counted = Arc::clone(&unit);
    let live = async move {
        unit.start();
        let mut nested = FuturesUnordered::<Nested>::new();
        loop {
            let next = std::future::poll_fn(|cx| {
                while let Poll::Ready(Some(())) = nested.poll_next_unpin(cx) {}
                commands.poll_recv(cx)
            });
            // None after a check has failed.
            let Some(command) = next.await else { return };
            if let Command::Yield(times) = command {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            let is_end = matches!(command, Command::End);
            nested.extend(unit.execute(command, None));
            if is_end {
                return;
            }
        }
    };
    Counted(Box::pin(live), of_counted)
}

fn live_blocking(unit: Arc<Unit>, mut commands: UnboundedReceiver<Command>) {
    unit.polls.fetch_add(1, Ordering::SeqCst);
    unit.start();
    // A panic of a scope's closure continues after the scope's threads have ended.
    thread::scope(|scope| {
        loop {
            // None after a check has failed.
            let Some(command) = commands.blocking_recv() else { return };
            let is_end = matches!(command, Command::End);
            unit.execute(command, Some(scope));
            if is_end {
                return;
            }
        }
    });
}

#[with_copied_context]
async fn with_attribute(future: Counted) {
    future.await;
}

/// The line of the attribute above.
const ATTRIBUTE: u32 = line!() - 6;

/// Hands over in the current context. Returns a unit that the current one polls.
pub(crate) fn hand_over(order: Order, scope: Option<thread::Scope<'_, '_>>) -> Option<Nested> {
    let id = order.unit.id;
    // The new context has the id from the start.
    UNIT.sync_scope(id, || start(order, scope))
}

fn start(order: Order, scope: Option<thread::Scope<'_, '_>>) -> Option<Nested> {
    /// Stores the line, and evaluates the expression on it.
    macro_rules! at {
        ($unit:expr, $value:expr) => {{
            $unit.line.store(line!(), Ordering::SeqCst);
            $value
        }};
    }

    let Order { unit, commands, way, target } = order;
    let of_order = Arc::clone(&unit);
    let u = &of_order;
    let abort = |handle| drop(u.abort.set(handle));
    let _enter = target.enter();
    if way.is_blocking() {
        let f = move || live_blocking(unit, commands);
        match way {
            Way::BlockingCall => drop(at!(u, task::spawn_blocking(f))),
            Way::BlockingCallReturningContext => drop(at!(u, task::spawn_blocking_returning_context(f))),
            Way::Thread => drop(at!(u, thread::spawn(f))),
            Way::NamedThread => {
                let builder = thread::Builder::new().name(u.id.to_string());
                drop(at!(u, builder.spawn(f)).unwrap());
            }
            Way::ScopedThread => {
                let scope = scope.expect("from a unit that blocks");
                drop(at!(u, scope.spawn(f)));
            }
            _ => {
                let closure = at!(u, copy_context().bind(f));
                drop(std::thread::spawn(closure));
            }
        }
        return None;
    }
    let future = live(unit, commands);
    match way {
        Way::Task => abort(at!(u, task::spawn(future)).abort_handle()),
        Way::TaskInEmptyContext => abort(at!(u, task::spawn_in_empty_context(future)).abort_handle()),
        #[cfg(tokio_unstable)]
        Way::PlainTask => abort(at!(u, tokio::spawn(future)).abort_handle()),
        Way::LocalTask => abort(at!(u, task::spawn_local(future)).abort_handle()),
        Way::Inherited => {
            let future = at!(u, future.in_inherited_context());
            target.spawn(future).into_iter().for_each(abort);
        }
        Way::Copied => {
            let future = at!(u, future.in_copied_context());
            target.spawn(future).into_iter().for_each(abort);
        }
        Way::Attribute => {
            u.line.store(ATTRIBUTE, Ordering::SeqCst);
            target.spawn(with_attribute(future)).into_iter().for_each(abort);
        }
        Way::Stream => {
            let once = stream::once(future);
            let stream = at!(u, StreamInContext::in_inherited_context(once));
            target.spawn(stream.for_each(std::future::ready)).into_iter().for_each(abort);
        }
        Way::BoundAsync => {
            let make = at!(u, copy_context().bind_async(move || future));
            u.polls.fetch_add(1, Ordering::SeqCst);
            target.spawn(async move { make().await }).into_iter().for_each(abort);
        }
        _ => return Some(Box::pin(at!(u, future.in_copied_context()))),
    }
    None
}
