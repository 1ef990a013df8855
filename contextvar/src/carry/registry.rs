//! The registered ambient values, and the chain of the values that were captured from them.

use std::any::Any;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};
use std::sync::OnceLock;

use super::Ambient;
use crate::on_drop::OnDrop;

/// A place in the list of registered values, which only grows. So readers need no lock.
type Place = OnceLock<Box<Entry>>;

struct Entry {
    ambient: Ambient,
    next: Place,
}

static FIRST: Place = Place::new();

pub(super) fn register(ambient: Ambient) {
    let mut entry = Box::new(Entry { ambient, next: Place::new() });
    let mut place = &FIRST;
    while let Err(rejected) = place.set(entry) {
        entry = rejected;
        place = &place.get().expect("it is set, so it rejected the entry").next;
    }
}

/// Captured values: the first one, which has the next ones inside.
pub(super) type Chain = Option<Box<dyn Link>>;

/// Captures the registered values.
#[inline]
pub(super) fn capture() -> Chain {
    if FIRST.get().is_none() { None } else { capture_registered() }
}

#[cold]
fn capture_registered() -> Chain {
    if IN_USER_CODE.get() || HAS_CAPTURED.get() && ALIVE.try_with(|_| ()).is_err() {
        return None;
    }
    let chain = capture_from(&FIRST);
    HAS_CAPTURED.set(true);
    let _ = ALIVE.try_with(|_| ());
    chain
}

/// Its destructor makes a thread-local of this type unusable when the thread exits.
struct Alive;

impl Drop for Alive {
    fn drop(&mut self) {}
}

thread_local! {
    static HAS_CAPTURED: Cell<bool> = const { Cell::new(false) };

    /// Is first used after the first capture on its thread, so that it ends before the thread-locals that the
    /// capture has used.
    static ALIVE: Alive = const { Alive };
}

fn capture_from(place: &'static Place) -> Chain {
    let entry = place.get()?;
    entry.ambient.capture.capture(&|| capture_from(&entry.next))
}

thread_local! {
    /// True while a closure of an ambient value runs. Work that the closure hands over captures nothing, which
    /// would call the closure again.
    static IN_USER_CODE: Cell<bool> = const { Cell::new(false) };
}

fn with_in_user_code<R>(is_in: bool, f: impl FnOnce() -> R) -> R {
    let outer = IN_USER_CODE.replace(is_in);
    let _restore = OnDrop(|| IN_USER_CODE.set(outer));
    f()
}

/// Calls the closure of an ambient value that captures it. Returns `None` if the closure needs a thread-local
/// that is gone: the thread is exiting, and a panic in the destructor of a thread-local would abort the
/// process.
///
/// If the thread has captured nothing before, only this panic shows that the thread is exiting.
fn call_capture<V>(capture: impl Fn() -> Option<V>) -> Option<V> {
    let capture = AssertUnwindSafe(|| with_in_user_code(true, capture));
    panic::catch_unwind(capture)
        .unwrap_or_else(|panic| if is_access_error(&*panic) { None } else { panic::resume_unwind(panic) })
}

/// Returns true for the panic of `LocalKey::with` where the thread-local is gone, in std and in tokio.
#[cold]
fn is_access_error(panic: &(dyn Any + Send)) -> bool {
    const START: &str = "cannot access a Thread Local Storage value during or after destruction";

    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.is_some_and(|text| text.starts_with(START))
}

/// Captures a value, of any type.
pub(super) trait Capture: Send + Sync {
    /// Captures the value, and then those that `rest` captures, which will be inside.
    fn capture(&'static self, rest: &dyn Fn() -> Chain) -> Chain;
}

/// A captured value.
pub(super) trait Link: Send + Sync {
    /// Calls `work` once, inside this value and the next ones.
    fn run(&self, work: &mut dyn FnMut());

    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    /// Enters this value and the next ones, if guards do that. Adds the guards to `guards`.
    fn enter(&self, guards: &mut Vec<Box<dyn Any>>);
}

fn run(chain: &Chain, work: &mut dyn FnMut()) {
    match chain {
        Some(link) => link.run(work),
        None => work(),
    }
}

#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
fn enter(chain: &Chain, guards: &mut Vec<Box<dyn Any>>) {
    if let Some(link) = chain {
        link.enter(guards);
    }
}

struct Guarded<C, E, V, G> {
    capture: C,
    enter: E,
    types: PhantomData<fn() -> (V, G)>,
}

pub(super) fn guarded<V: Send + Sync + 'static, G: 'static>(
    capture: impl Fn() -> Option<V> + Send + Sync + 'static,
    enter: impl Fn(&V) -> G + Send + Sync + 'static,
) -> Box<dyn Capture> {
    Box::new(Guarded { capture, enter, types: PhantomData })
}

impl<C, E, V, G> Capture for Guarded<C, E, V, G>
where
    C: Fn() -> Option<V> + Send + Sync + 'static,
    E: Fn(&V) -> G + Send + Sync + 'static,
    V: Send + Sync + 'static,
    G: 'static,
{
    fn capture(&'static self, rest: &dyn Fn() -> Chain) -> Chain {
        let Some(value) = call_capture(&self.capture) else { return rest() };
        Some(Box::new(GuardedLink { value, enter: &self.enter, guard: PhantomData, next: rest() }))
    }
}

struct GuardedLink<V, E: 'static, G> {
    // Dropped first: a value is dropped after those inside of it.
    next: Chain,
    value: V,
    enter: &'static E,
    guard: PhantomData<fn() -> G>,
}

impl<V, E: Fn(&V) -> G, G> GuardedLink<V, E, G> {
    fn guard(&self) -> Guard<G> {
        Guard(Some(with_in_user_code(true, || (self.enter)(&self.value))))
    }
}

/// A user's guard.
struct Guard<G>(Option<G>);

impl<G> Drop for Guard<G> {
    fn drop(&mut self) {
        with_in_user_code(true, || self.0 = None);
    }
}

impl<V, E, G> Link for GuardedLink<V, E, G>
where
    V: Send + Sync + 'static,
    E: Fn(&V) -> G + Send + Sync + 'static,
    G: 'static,
{
    fn run(&self, work: &mut dyn FnMut()) {
        let _guard = self.guard();
        run(&self.next, work);
    }

    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    fn enter(&self, guards: &mut Vec<Box<dyn Any>>) {
        guards.push(Box::new(self.guard()));
        enter(&self.next, guards);
    }
}

struct Scoped<C, F, V> {
    capture: C,
    run: F,
    types: PhantomData<fn() -> V>,
}

pub(super) fn scoped<V: Send + Sync + 'static>(
    capture: impl Fn() -> Option<V> + Send + Sync + 'static,
    run: impl Fn(&V, &mut dyn FnMut()) + Send + Sync + 'static,
) -> Box<dyn Capture> {
    Box::new(Scoped { capture, run, types: PhantomData })
}

impl<C, F, V> Capture for Scoped<C, F, V>
where
    C: Fn() -> Option<V> + Send + Sync + 'static,
    F: Fn(&V, &mut dyn FnMut()) + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn capture(&'static self, rest: &dyn Fn() -> Chain) -> Chain {
        let Some(value) = call_capture(&self.capture) else { return rest() };
        Some(Box::new(ScopedLink { value, run: &self.run, next: rest() }))
    }
}

struct ScopedLink<V, F: 'static> {
    // Dropped first, as in `GuardedLink`.
    next: Chain,
    value: V,
    run: &'static F,
}

impl<V, F> Link for ScopedLink<V, F>
where
    V: Send + Sync + 'static,
    F: Fn(&V, &mut dyn FnMut()) + Send + Sync + 'static,
{
    fn run(&self, work: &mut dyn FnMut()) {
        let mut called = None;
        with_in_user_code(true, || {
            (self.run)(&self.value, &mut || {
                if called.is_none() {
                    let run = || with_in_user_code(false, || run(&self.next, work));
                    // A panic goes around the user's function, which may not restore anything after one, and may
                    // not pass it on.
                    called = Some(panic::catch_unwind(AssertUnwindSafe(run)));
                }
            });
        });
        match called {
            None => run(&self.next, work),
            Some(Ok(())) => {}
            Some(Err(panic)) => panic::resume_unwind(panic),
        }
    }

    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    fn enter(&self, guards: &mut Vec<Box<dyn Any>>) {
        enter(&self.next, guards);
    }
}
