//! The current context of a thread: entering and leaving one, reading and writing it.
//!
//! While a context is current it stands in a [`Frame`] on the stack of the `run` or `poll` that entered it,
//! and a thread-local points to the innermost frame. Below all frames is the thread's own context.
//!
//! Inside a frame everyone may read, but only the tokio task that entered it may write: others may be polled
//! there too, and nothing is to pass from one task to another. The thread's own context is for code outside
//! of any task.
#![allow(unsafe_code)]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::mem::{self, ManuallyDrop};
use std::num::NonZeroU64;
use std::ptr;

mod reading;
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
mod task_context;

use reading::{EndReading, Reading};
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub(crate) use task_context::TaskContext;
#[cfg(all(feature = "runtime-hooks", feature = "observe", tokio_unstable))]
pub(crate) use task_context::discard_panic;

use crate::error::SetErrorKind;
use crate::storage::{self, Describe, Map, Stored, Variable};

/// What a context is made of: its variables, and its identity once a token was made in it.
#[derive(Default)]
pub(crate) struct Contents {
    pub(crate) map: Map,
    identity: Option<Identity>,
}

impl Contents {
    pub(crate) fn new(map: Map) -> Self {
        Contents { map, identity: None }
    }
}

/// Tells contexts apart: a copy is another context, a context that has moved is still the same.
#[derive(Clone, Copy)]
pub(crate) struct Identity(NonZeroU64);

impl Identity {
    /// One that no context has had. Numbers are taken from the process a batch at a time.
    #[cold]
    fn new() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};

        const BATCH: u64 = 1024;
        static BATCHES: AtomicU64 = AtomicU64::new(0);
        thread_local! {
            static LAST: Cell<u64> = const { Cell::new(0) };
        }

        let mut last = LAST.get();
        if last % BATCH == 0 {
            last = BATCHES.fetch_add(1, Ordering::Relaxed) * BATCH;
        }
        // A batch is 1 to 1024 over its start, so that 0 is never one.
        LAST.set(last + 1);
        Identity(NonZeroU64::new(last + 1).expect("2^64 contexts"))
    }

    #[inline]
    fn number(self) -> u64 {
        self.0.get()
    }
}

/// A context while it is current.
pub(crate) struct Frame {
    /// The map of `contents`, once more, so that a read has one step less to go.
    map: Cell<ManuallyDrop<Map>>,
    /// What `enter` was given. Nobody else uses it meanwhile.
    contents: Cell<*mut Contents>,
    /// The task that entered it.
    task: Option<TaskId>,
}

impl Frame {
    const fn empty() -> Frame {
        let map = Cell::new(ManuallyDrop::new(Map::EMPTY));
        Frame { map, contents: Cell::new(ptr::null_mut()), task: None }
    }
}

/// A thread's own context. Its frame gets its `contents` when they are used.
struct Own {
    frame: Frame,
    contents: UnsafeCell<Contents>,
}

/// What is current where nothing was entered: a frame in which nothing is set, and that is never written.
/// Not null, so that those who find something need not ask.
static OUTSIDE: Outside = Outside(Frame::empty());

struct Outside(Frame);

// SAFETY: it is only read.
unsafe impl Sync for Outside {}

/// The innermost frame and the innermost reading of a thread. They are together so that one address does for both.
struct Innermost {
    frame: Cell<*const Frame>,
    reading: Cell<*const Reading>,
}

thread_local! {
    /// Without a destructor, so that it can be used at any time.
    static INNERMOST: Innermost = const {
        Innermost { frame: Cell::new(&raw const OUTSIDE.0), reading: Cell::new(ptr::null()) }
    };

    /// The thread's own context. Without a destructor too: `OWN_EMPTIED` is that.
    static OWN: ManuallyDrop<Own> = const {
        ManuallyDrop::new(Own {
            frame: Frame::empty(),
            contents: UnsafeCell::new(Contents { map: Map::EMPTY, identity: None }),
        })
    };

    /// Empties the thread's own context when the thread exits. The first write makes it.
    static OWN_EMPTIED: EmptyOwn = const { EmptyOwn };
}

struct EmptyOwn;

impl Drop for EmptyOwn {
    fn drop(&mut self) {
        // From now on `OWN_EMPTIED` can't be used, and nothing is written to `OWN` any more.
        let map = own().take();
        // A thread ends while a value is being read only by `process::exit`, where its stack stays, with the references on
        // it; or if the reader is a coroutine with a stack of its own.
        if Reading::is_any_under_way() { mem::forget(map) } else { drop(map) }
    }
}

/// Runs `f` with the context of `contents` as the current one.
#[inline]
pub(crate) fn enter<R>(contents: &mut Contents, f: impl FnOnce() -> R) -> R {
    /// Tells the observer, also on a panic.
    #[cfg(feature = "observe")]
    struct Left;

    #[cfg(feature = "observe")]
    impl Drop for Left {
        #[inline]
        fn drop(&mut self) {
            crate::observe::left();
        }
    }

    #[cfg(feature = "observe")]
    let _left = Left;
    enter_for(contents, task_id(), || {
        #[cfg(feature = "observe")]
        crate::observe::entered();
        f()
    })
}

/// Runs `f` with the context of `contents` as the current one, which only `task` can write. Tells no observer.
#[inline]
fn enter_for<R>(contents: &mut Contents, task: Option<TaskId>, f: impl FnOnce() -> R) -> R {
    /// Leaves the frame on a panic.
    struct LeaveOnPanic<'a> {
        frame: &'a Frame,
        outer: *const Frame,
    }

    impl Drop for LeaveOnPanic<'_> {
        #[inline]
        fn drop(&mut self) {
            leave_on_panic(self.frame, self.outer);
        }
    }

    #[cold]
    fn leave_on_panic(frame: &Frame, outer: *const Frame) {
        leave(frame, outer);
    }

    let frame = Frame {
        // SAFETY: the map lives until this function returns, and each write updates the frame.
        map: Cell::new(unsafe { contents.map.alias() }),
        contents: Cell::new(contents),
        task,
    };
    let on_panic = LeaveOnPanic { frame: &frame, outer: innermost(|it| it.frame.replace(&frame)) };
    let result = f();
    let outer = on_panic.outer;
    mem::forget(on_panic);
    leave(&frame, outer);
    result
}

/// Leaves `frame`: makes `outer` current again.
#[inline]
fn leave(frame: &Frame, outer: *const Frame) {
    let left = innermost(|it| it.frame.replace(outer));
    if !ptr::eq(left, frame) || Reading::is_under_way_in(frame) {
        leave_with_care(left, frame, outer);
    }
}

/// Leaves `frame` where another one may be current, or a reading of `frame` may be under way.
///
/// A reading of another frame does no harm. Nor does the context of a task that hooks have entered, and that a panic kept
/// from being left. All else is a coroutine.
#[cold]
fn leave_with_care(left: *const Frame, frame: &Frame, outer: *const Frame) {
    innermost(|it| it.frame.set(left));
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    let stale = task_context::discard_above(frame);
    if !ptr::eq(innermost(|it| it.frame.get()), frame) || Reading::is_under_way_in(frame) {
        abort_on_suspended_coroutine();
    }
    innermost(|it| it.frame.set(outer));
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    drop(stale);
}

/// Aborts the process: a context is left, or a read ends, while another that began later is under way.
///
/// Frames and readings end in the reverse order of their beginning, as calls on one stack do. Coroutines with stacks of
/// their own that share a thread can break that order. To go on would leave a pointer to a frame or a value that is gone.
#[cold]
fn abort_on_suspended_coroutine() -> ! {
    eprintln!(
        "contextvar: a context or a value was left out of order by a coroutine with a stack of its own, which had been \
         suspended inside `Context::run` or `ContextVar::with`; end such calls before you suspend the coroutine"
    );
    std::process::abort();
}

/// Gives `f` the value of `variable` in the current context, else what `default` gives. It stays as it is
/// while `f` runs.
#[inline]
pub(crate) fn read<T: 'static, R>(
    variable: &Variable<T>,
    default: impl FnOnce() -> Option<&'static T>,
    f: impl FnOnce(&T) -> R,
) -> Option<R> {
    let (frame, value) = find(variable);
    // What `f` gets does not depend on the frame's map: it is a default or a copy, or a write leaves it to the
    // reading.
    Some(match value {
        None => f(default()?),
        Some(value) => match storage::copied(value) {
            Some(value) => f(&value),
            None => {
                let reading = Reading::of(frame);
                let end = EndReading(&reading);
                let result = reading.begin(|| f(value));
                end.end();
                result
            }
        },
    })
}

/// Whether `variable` is set in the current context.
#[inline]
pub(crate) fn is_set<T: 'static>(variable: &Variable<T>) -> bool {
    find(variable).1.is_some()
}

/// A copy of the current context's map; an empty one where there is no context.
#[inline]
pub(crate) fn copy() -> Map {
    let map = current().map();
    if map.is_vacant() { copy_vacant() } else { map.clone() }
}

#[cold]
fn copy_vacant() -> Map {
    let frame = if is_outside(current()) { outside() } else { None };
    frame.map_or(Map::EMPTY, |own| own.map().clone())
}

/// Gives `f` the name and the value of each variable that logs show and that is set in the current context. All
/// stay as they are while `f` runs.
pub(crate) fn for_each_logged(f: &mut dyn FnMut(&'static str, &dyn fmt::Display)) {
    let frame = if is_outside(current()) { outside() } else { Some(current()) };
    let Some(frame) = frame.filter(|frame| !frame.map().is_vacant()) else { return };
    // SAFETY: a write leaves the map to the reading.
    let map = unsafe { frame.map().alias() };
    let reading = Reading::of(frame);
    let end = EndReading(&reading);
    reading.begin(|| map.for_each_logged(f));
    end.end();
}

/// What undoes a `set`: the value that was there before, and the context in which that was.
pub(crate) struct Undo<T: 'static> {
    pub(crate) old: Option<Stored<T>>,
    identity: Identity,
}

/// The innermost frame, or the one that stands for none.
///
/// It is alive, and stays so while the caller runs: frames end in the order of the stack.
#[inline]
fn current<'a>() -> &'a Frame {
    // SAFETY: `enter` set it to a frame on its stack, and sets it back before that frame ends.
    unsafe { &*innermost(|it| it.frame.get()) }
}

#[inline]
fn innermost<R>(f: impl FnOnce(&Innermost) -> R) -> R {
    INNERMOST.with(f)
}

/// Returns what is current where nothing was entered: the context of a task that hooks have entered; else the thread's own
/// context, except in a task. A task that was given no context has none.
fn outside<'a>() -> Option<&'a Frame> {
    let task = task_id();
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    if let Some(frame) = task_context::behind_outside(task) {
        // SAFETY: the frame is alive, and stays so while the caller runs: a task's context is left after its poll, and
        // other frames end in the order of the stack.
        return Some(unsafe { &*frame });
    }
    task.is_none().then(own)
}

#[inline]
fn is_outside(frame: *const Frame) -> bool {
    ptr::eq(frame, &raw const OUTSIDE.0)
}

/// The frame that reads see, and the value there.
///
/// The value may be used until the frame's map is written.
#[inline]
fn find<'a, T: 'static>(variable: &Variable<T>) -> (&'a Frame, Option<&'a T>) {
    #[cold]
    fn find_outside<'a, T: 'static>(variable: &Variable<T>) -> (&'a Frame, Option<&'a T>) {
        match outside() {
            Some(own) => (own, own.map().get(variable)),
            None => (current(), None),
        }
    }

    let frame = current();
    match frame.map().get(variable) {
        Some(value) => (frame, Some(value)),
        None if is_outside(frame) => find_outside(variable),
        None => (frame, None),
    }
}

/// Gives `f` the frame that writes change, if there is one: [`denied`] says why not.
#[inline(always)]
pub(crate) fn write<R>(f: impl FnOnce(Option<&Frame>) -> R) -> R {
    #[cold]
    fn outside_for_write<'a>() -> Option<&'a Frame> {
        let frame = outside()?;
        if frame.task != task_id() {
            return None;
        }
        if frame.task.is_some() || !ptr::eq(frame, own()) {
            return Some(frame);
        }
        // Makes sure that what is written will be dropped. Fails once that has happened.
        OWN_EMPTIED.try_with(|_| frame).ok()
    }

    let frame = current();
    f(if is_outside(frame) {
        outside_for_write()
    } else if frame.task == task_id() {
        Some(frame)
    } else {
        None
    })
}

/// Why nothing can be [written](write) here.
#[cold]
pub(crate) fn denied() -> SetErrorKind {
    let is_of_other_task = |frame: &Frame| frame.task != task_id();
    if !is_outside(current()) || outside().is_some_and(is_of_other_task) {
        SetErrorKind::OtherTask
    } else if task_id().is_some() {
        SetErrorKind::NoContext
    } else {
        SetErrorKind::ThreadExit
    }
}

fn own<'a>() -> &'a Frame {
    let own: *const Own = OWN.with(|own| &raw const **own);
    // SAFETY: a thread-local without a destructor is there until its thread is gone.
    let own: &'a Own = unsafe { &*own };
    own.frame.contents.set(own.contents.get());
    &own.frame
}

impl Frame {
    #[inline]
    fn map(&self) -> &Map {
        // SAFETY: the reference is used only until a value is found, while nothing else runs on this thread.
        unsafe { &*self.map.as_ptr() }
    }

    /// Sets `variable`.
    #[inline]
    pub(crate) fn set<T: 'static>(&self, variable: &'static Variable<T>, value: Stored<T>) -> Undo<T> {
        let identity = *self.contents().identity.get_or_insert_with(Identity::new);
        Undo { old: self.replace(variable, Some(value)), identity }
    }

    /// Whether `undo` is of a `set` in this context.
    #[inline]
    pub(crate) fn made<T>(&self, undo: &Undo<T>) -> bool {
        self.contents().identity.map_or(0, Identity::number) == undo.identity.number()
    }

    /// Undoes a `set` of `variable`.
    #[inline]
    pub(crate) fn reset<T: 'static>(&self, variable: &'static Variable<T>, undo: Undo<T>) {
        drop(self.replace(variable, undo.old));
    }

    /// Puts `new` in the place of `variable`, and hands back what was there.
    #[inline(always)]
    fn replace<T: 'static>(
        &self,
        variable: &'static Variable<T>,
        new: Option<Stored<T>>,
    ) -> Option<Stored<T>> {
        if !Reading::is_any_under_way() {
            if let Some(place) = self.contents().map.unshared_place(variable) {
                return place.replace(new);
            }
        }
        self.replace_shared(variable, new)
    }

    /// The same where others may see the map.
    #[inline(never)]
    fn replace_shared<T: 'static>(
        &self,
        variable: &'static Variable<T>,
        new: Option<Stored<T>>,
    ) -> Option<Stored<T>> {
        let map = &mut self.contents().map;
        // A reading gets a share of the map, so that nothing it sees is changed in place or dropped.
        Reading::keep(self, map);
        let (old, replaced) = map.replace(variable, new);
        // SAFETY: the map lives as long as the frame, and is written in place or here.
        self.map.set(unsafe { map.alias() });
        // The write is whole. Only now may a value be dropped, whose `Drop` can do anything.
        drop(replaced);
        old
    }

    /// Makes these variables what they are in `from`. It is one write: nobody sees half of it.
    pub(crate) fn copy(&self, variables: &[&'static dyn Describe], from: &Map) {
        let map = &mut self.contents().map;
        // The values that are replaced here stay in the old map.
        let mut new = map.clone();
        for variable in variables {
            variable.copy(from, &mut new);
        }
        Reading::keep(self, map);
        let old = mem::replace(map, new);
        // SAFETY: as in `replace_shared`.
        self.map.set(unsafe { map.alias() });
        drop(old);
    }

    /// Unsets all variables. While something is being read, it needs what is handed out here.
    fn take(&self) -> Map {
        self.map.set(ManuallyDrop::new(Map::EMPTY));
        mem::take(&mut self.contents().map)
    }

    /// What was entered. Only for frames that may be written, and no two at a time.
    #[expect(clippy::mut_from_ref, reason = "it is not in the frame")]
    #[inline]
    fn contents(&self) -> &mut Contents {
        // SAFETY: `enter` or `own` set it to what is there while the frame is. They leave it to this frame,
        // and the uses of it in this file end before anything else runs on this thread.
        unsafe { &mut *self.contents.get() }
    }
}

#[cfg(feature = "tokio")]
type TaskId = tokio::task::Id;
#[cfg(not(feature = "tokio"))]
type TaskId = std::convert::Infallible;

/// Returns a number that no other thread has while this one lives.
#[inline]
pub(crate) fn this_thread() -> usize {
    thread_local! {
        static HERE: u8 = const { 0 };
    }
    HERE.with(|here| ptr::from_ref(here).addr())
}

/// The tokio task that this code runs in, if any.
#[inline]
fn task_id() -> Option<TaskId> {
    #[cfg(feature = "tokio")]
    return tokio::task::try_id();
    #[cfg(not(feature = "tokio"))]
    return None;
}
