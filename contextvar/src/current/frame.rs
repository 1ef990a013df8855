use std::cell::Cell;
use std::mem::{self, ManuallyDrop};
use std::ptr;
#[cfg(feature = "inspect")]
use std::sync::Arc;

use super::abort_on_out_of_order_exit;
use super::active_read::ActiveRead;
use super::identity::Identity;
#[cfg(feature = "inspect")]
use super::listed;
use super::task::TaskId;
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
use super::task_context;
use super::thread_context;
#[cfg(feature = "inspect")]
use crate::inspect::{Entry, Listing};
use crate::storage::{AnyVariable, Map, Value, Variable};

/// The contents of a context: its values, and its identity once a token was made in it.
pub(crate) struct Contents {
    pub(crate) map: Map,
    identity: Option<Identity>,
    #[cfg(feature = "inspect")]
    pub(crate) listing: Listing,
}

#[cfg(not(feature = "inspect"))]
const _: () = assert!(
    size_of::<Contents>() == size_of::<(Map, Option<Identity>)>(),
    "`inspect` takes no space where it is off"
);

impl Contents {
    #[inline]
    pub(crate) const fn new(map: Map) -> Self {
        Contents {
            map,
            identity: None,
            #[cfg(feature = "inspect")]
            listing: Listing::NONE,
        }
    }

    /// Returns the contents of a context for another task.
    #[inline]
    pub(crate) fn handed_over(map: Map) -> Self {
        Contents { identity: Identity::of_handed_over(), ..Contents::new(map) }
    }
}

/// A context while it is current.
pub(crate) struct Frame {
    /// An alias of the map in `contents`, which saves a read one step.
    map: Cell<ManuallyDrop<Map>>,
    /// The contents of the context. No other code uses them while the frame is in use.
    contents: Cell<*mut Contents>,
    /// The task that entered the context.
    task: Option<TaskId>,
}

/// The frame that is innermost if no context was entered. No variable is set in it, and it is never written.
/// It spares reads a check for null. Its map is [lost](Map::is_lost), so that one check after a read without
/// success finds both the sentinel and a lost context.
static SENTINEL: Sentinel = Sentinel(Frame::new(Map::LOST, (&raw const NO_CONTENTS.0).cast_mut()));

/// The contents of the sentinel, which have no identity.
static NO_CONTENTS: NoContents = NoContents(Contents::new(Map::LOST));

struct Sentinel(Frame);
struct NoContents(Contents);

// SAFETY: it is only read.
unsafe impl Sync for Sentinel {}
// SAFETY: as above.
unsafe impl Sync for NoContents {}

/// The innermost frame and the innermost active read of a thread, in one thread-local so that they share its
/// address.
pub(super) struct Innermost {
    pub(super) frame: Cell<*const Frame>,
    pub(super) read: Cell<*const ActiveRead>,
}

thread_local! {
    /// Has no destructor, so that it can be used at any time.
    static INNERMOST: Innermost = const {
        Innermost { frame: Cell::new(&raw const SENTINEL.0), read: Cell::new(ptr::null()) }
    };
}

#[inline]
pub(super) fn innermost<R>(f: impl FnOnce(&Innermost) -> R) -> R {
    INNERMOST.with(f)
}

/// Returns the innermost frame, which can be the [sentinel](is_sentinel).
///
/// It stays alive while the caller runs: frames end in the reverse order of their beginning.
#[inline]
pub(super) fn innermost_frame<'a>() -> &'a Frame {
    // SAFETY: the pointer is to the sentinel, a static, or to a frame on the stack of `enter`, which
    // resets the pointer before that frame ends.
    unsafe { &*innermost(|it| it.frame.get()) }
}

#[inline]
pub(super) fn is_sentinel(frame: *const Frame) -> bool {
    ptr::eq(frame, &raw const SENTINEL.0)
}

/// Makes the sentinel the innermost frame, and returns the frame that was.
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub(super) fn enter_sentinel() -> *const Frame {
    innermost(|it| it.frame.replace(&raw const SENTINEL.0))
}

/// Returns the frame of the context that is current if none was entered: the context that hooks gave the
/// task; otherwise the thread's own context, except in a task. A task that was given no context has none. `task`
/// is the current one.
pub(super) fn base_frame<'a>(task: Option<TaskId>) -> Option<&'a Frame> {
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    if let Some(frame) = task_context::frame_behind_sentinel(task) {
        // SAFETY: the frame stays alive while the caller runs: a task's context is left after the task's
        // poll, and other frames end in the reverse order of their beginning.
        return Some(unsafe { &*frame });
    }
    task.is_none().then(thread_context::frame)
}

/// Runs `f` with the context of `contents` as the current one, which only `task` can write: the task that this
/// code runs in.
#[inline(always)]
pub(crate) fn enter<R>(contents: &mut Contents, task: Option<TaskId>, f: impl FnOnce() -> R) -> R {
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
        // SAFETY: the map lives until this function returns, and each write that moves its root updates the
        // frame.
        map: Cell::new(unsafe { contents.map.alias() }),
        contents: Cell::new(contents),
        task,
    };
    let on_panic = LeaveOnPanic { frame: &frame, outer: innermost(|it| it.frame.replace(&frame)) };
    #[cfg(feature = "inspect")]
    if frame.entry().is_some() {
        enter_listed(&frame);
    }
    let result = f();
    let outer = on_panic.outer;
    mem::forget(on_panic);
    leave(&frame, outer);
    result
}

/// Continues to enter a listed context: makes the frame of its entry the innermost one.
#[cfg(feature = "inspect")]
#[cold]
#[inline(never)]
fn enter_listed(frame: &Frame) {
    let Some(entry) = frame.entry() else { return };
    let copy = Frame {
        // SAFETY: as in `enter`: the copy is used in place of the frame.
        map: Cell::new(unsafe { frame.map().alias() }),
        contents: frame.contents.clone(),
        task: frame.task,
    };
    innermost(|it| it.frame.set(entry.frame.set(copy)));
    listed::enter(entry, frame.task);
}

/// Leaves `frame`: makes `outer` the innermost frame again.
#[inline]
fn leave(frame: &Frame, outer: *const Frame) {
    let left = innermost(|it| it.frame.replace(outer));
    if !ptr::eq(left, frame) || ActiveRead::is_active_in(frame) {
        check_and_leave(left, frame, outer);
    }
}

/// Leaves `frame` if another frame is innermost, or if a read of `frame` may be active.
///
/// An active read of another frame does no harm. Nor does the context of a task that hooks have entered, and
/// that a panic kept them from leaving. Anything else is a coroutine.
#[cold]
fn check_and_leave(left: *const Frame, frame: &Frame, outer: *const Frame) {
    innermost(|it| it.frame.set(left));
    #[cfg(feature = "inspect")]
    let entry = frame.entry();
    // SAFETY: the frame of the entry is in use since `enter_listed`.
    #[cfg(feature = "inspect")]
    let frame = entry.map_or(frame, |entry| unsafe { &*entry.frame.get() });
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    let stale = task_context::discard_above(frame);
    if !ptr::eq(innermost(|it| it.frame.get()), frame) || ActiveRead::is_active_in(frame) {
        abort_on_out_of_order_exit();
    }
    innermost(|it| it.frame.set(outer));
    #[cfg(feature = "inspect")]
    if let Some(entry) = entry {
        listed::leave(entry);
    }
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    drop(stale);
}

/// The value that a `set` replaced, and the identity of the context that it was set in.
pub(crate) struct Undo<T: 'static> {
    pub(crate) old: Option<Value<T>>,
    identity: Identity,
}

impl Frame {
    pub(super) const fn empty() -> Frame {
        Frame::new(Map::EMPTY, ptr::null_mut())
    }

    const fn new(map: Map, contents: *mut Contents) -> Frame {
        Frame { map: Cell::new(ManuallyDrop::new(map)), contents: Cell::new(contents), task: None }
    }

    /// Makes the frame of a task's context. [`set_contents`](Self::set_contents) and
    /// [`set_map`](Self::set_map) come next.
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    pub(super) const fn of_task(task: TaskId) -> Frame {
        Frame { task: Some(task), ..Frame::empty() }
    }

    #[inline]
    pub(super) fn task(&self) -> Option<TaskId> {
        self.task
    }

    #[inline]
    pub(super) fn map(&self) -> &Map {
        // SAFETY: the reference is used only until a value is found. No other code runs on this thread
        // meanwhile.
        unsafe { &*self.map.as_ptr() }
    }

    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    pub(super) fn set_map(&self, map: ManuallyDrop<Map>) {
        self.map.set(map);
    }

    #[cfg(feature = "inspect")]
    pub(super) fn has_contents(&self) -> bool {
        !self.contents.get().is_null()
    }

    pub(super) fn set_contents(&self, contents: *mut Contents) {
        self.contents.set(contents);
    }

    #[inline]
    pub(super) fn identity(&self) -> Option<Identity> {
        // SAFETY: the contents outlive this frame, and no other code uses them meanwhile.
        unsafe { (*self.contents.get()).identity }
    }

    /// Returns the identity of the context, if it has one and is not watched.
    #[inline]
    pub(super) fn plain_identity(&self) -> Option<Identity> {
        self.identity().filter(|identity| identity.is_plain())
    }

    /// Assigns an identity if the context has no plain one, and calls `on_watched` if the context's writes are
    /// noted.
    pub(super) fn assign_identity(&self, on_watched: impl FnOnce()) {
        if self.plain_identity().is_some() {
            return;
        }
        let (identity, is_watched) = Identity::assign(self.identity());
        // A pointer, because `on_watched` may run any code, which may use the contents.
        // SAFETY: as in `identity`.
        unsafe { (*self.contents.get()).identity = Some(identity) };
        if is_watched {
            on_watched();
        }
    }

    /// Sets `variable` in the context with this identity, which is that of this frame.
    #[inline]
    pub(super) fn set<T: 'static>(
        &self,
        variable: &'static Variable<T>,
        value: Value<T>,
        identity: Identity,
    ) -> Undo<T> {
        Undo { old: self.write(variable, Some(value)), identity }
    }

    /// Sets `variable` and returns the old value.
    #[cfg(feature = "tower")]
    #[inline]
    pub(super) fn put<T: 'static>(
        &self,
        variable: &'static Variable<T>,
        value: Value<T>,
    ) -> Option<Value<T>> {
        self.write(variable, Some(value))
    }

    /// Returns true if `undo` came from a `set` in this context.
    #[inline]
    pub(super) fn is_origin_of<T>(&self, undo: &Undo<T>) -> bool {
        self.identity().map_or(0, Identity::number) == undo.identity.number()
    }

    /// Undoes a `set` of `variable`.
    #[inline]
    pub(super) fn reset<T: 'static>(&self, variable: &'static Variable<T>, undo: Undo<T>) {
        drop(self.write(variable, undo.old));
    }

    /// Sets `variable` to `new`, or unsets it, and returns the old value.
    #[inline(always)]
    fn write<T: 'static>(&self, variable: &'static Variable<T>, new: Option<Value<T>>) -> Option<Value<T>> {
        if !ActiveRead::is_any_active() {
            if let Some(place) = self.contents().map.unshared_place(variable) {
                return place.replace(new);
            }
        }
        self.write_shared(variable, new)
    }

    /// Does what [`write`](Self::write) does if another context or an active read may share the map.
    #[inline(never)]
    fn write_shared<T: 'static>(
        &self,
        variable: &'static Variable<T>,
        new: Option<Value<T>>,
    ) -> Option<Value<T>> {
        let map = &mut self.contents().map;
        // The active read shares the map, so this write changes or drops nothing that the reader sees.
        ActiveRead::keep_for_reader(self, map);
        #[cfg(feature = "inspect")]
        let write = self.entry().map(|entry| entry.begin_write());
        let (old, replaced) = map.write(variable, new);
        #[cfg(feature = "inspect")]
        if let Some(write) = write {
            write.end(map);
        }
        // SAFETY: the map lives as long as the frame, and each write that moves its root updates the alias,
        // as here.
        self.map.set(unsafe { map.alias() });
        // The write is complete. Only now can a value be dropped: its `Drop` can run any code.
        drop(replaced);
        old
    }

    /// Copies the state of these variables from `source`. It is one write: no code sees a part of it. Calls
    /// `on_watched` as [`assign_identity`](Self::assign_identity) does.
    pub(crate) fn copy_states(
        &self,
        variables: &[&'static dyn AnyVariable],
        source: &Map,
        on_watched: impl FnOnce(),
    ) {
        if self.contents().identity.is_some_and(|it| !it.is_plain()) && !variables.is_empty() {
            self.assign_identity(on_watched);
        }
        let map = &mut self.contents().map;
        // The old map keeps the values that are replaced here alive.
        let mut new = map.clone();
        for variable in variables {
            variable.copy_state(source, &mut new);
        }
        ActiveRead::keep_for_reader(self, map);
        let old = mem::replace(map, new);
        // SAFETY: as in `write_shared`.
        self.map.set(unsafe { map.alias() });
        let published = self.publish();
        drop((published, old));
    }

    /// Gives the entry of a listed context a copy of the map. Returns the copy that it had, whose drop can drop
    /// values.
    #[inline]
    fn publish(&self) -> Option<Map> {
        #[cfg(feature = "inspect")]
        if let Some(entry) = self.entry() {
            return Some(entry.publish(self.map().clone()));
        }
        None
    }

    #[cfg(feature = "inspect")]
    #[inline]
    fn entry(&self) -> Option<&Arc<Entry>> {
        // SAFETY: as in `identity`. The listing stays as it is while the context is entered.
        unsafe { (*self.contents.get()).listing.entry() }
    }

    /// Unsets all variables and returns the old map, which must stay alive while a read of this frame is
    /// active.
    pub(super) fn take_map(&self) -> Map {
        self.map.set(ManuallyDrop::new(Map::EMPTY));
        let map = mem::take(&mut self.contents().map);
        // `map` has the same values.
        drop(self.publish());
        map
    }

    /// Returns the contents of the context. Call it only on a frame that may be written, and use one result
    /// at a time.
    #[expect(clippy::mut_from_ref, reason = "the contents are not in the frame")]
    #[inline]
    fn contents(&self) -> &mut Contents {
        // SAFETY: `contents` points to contents that outlive this frame. Only this frame uses them, and each
        // use in this file ends before any other code runs on this thread.
        unsafe { &mut *self.contents.get() }
    }
}
