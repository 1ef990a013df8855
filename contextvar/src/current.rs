//! The current context of a thread: entering and leaving one, reading and writing it.
//!
//! While a context is current it stands in a [`Frame`] on the stack of the `run` or `poll` that entered it,
//! and a thread-local points to the innermost frame. Below all frames is the thread's own context.
//!
//! Inside a frame everyone may read, but only the tokio task that entered it may write: others may be polled
//! there too, and nothing is to pass from one task to another. The thread's own context is for code outside
//! of any task.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::{self, ManuallyDrop};
use std::num::NonZeroU64;
use std::ptr;

use crate::storage::{self, Map, Stored, Variable};

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
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity(NonZeroU64);

impl Identity {
    /// One that no context has had. Numbers are taken from the process a batch at a time.
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
}

/// A context while it is current.
struct Frame {
    map: Cell<Map>,
    identity: Cell<Option<Identity>>,
    /// The task that entered it.
    task: Option<TaskId>,
    /// The innermost of the readings of this frame that are under way.
    reading: Cell<*const Reading>,
}

thread_local! {
    /// The innermost frame. Without a destructor, so that it can be used at any time.
    static CURRENT: Cell<*const Frame> = const { Cell::new(ptr::null()) };

    /// The thread's own context. Without a destructor too: `OWN_EMPTIED` is that.
    static OWN: ManuallyDrop<Frame> = const {
        ManuallyDrop::new(Frame {
            map: Cell::new(Map::EMPTY),
            identity: Cell::new(None),
            task: None,
            reading: Cell::new(ptr::null()),
        })
    };

    /// Empties the thread's own context when the thread exits. The first write makes it.
    static OWN_EMPTIED: EmptyOwn = const { EmptyOwn };
}

struct EmptyOwn;

impl Drop for EmptyOwn {
    fn drop(&mut self) {
        // From now on `OWN_EMPTIED` can't be used, and nothing is written to `OWN` any more.
        OWN.with(|own| drop(own.take_map()));
    }
}

/// Why the current context can't be written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denied {
    /// The code runs in a tokio task that was given no context.
    NoContext,
    /// The code runs in a tokio task that is polled inside of another one's context.
    OtherTask,
    /// The thread is exiting, and its own context is gone.
    ThreadExit,
}

/// Runs `f` with the context of `contents` as the current one.
pub(crate) fn enter<R>(contents: &mut Contents, f: impl FnOnce() -> R) -> R {
    /// Undoes it, also on a panic.
    struct Leave<'a> {
        frame: &'a Frame,
        outer: *const Frame,
        contents: &'a mut Contents,
    }

    impl Drop for Leave<'_> {
        fn drop(&mut self) {
            CURRENT.set(self.outer);
            // What is overwritten is the empty map that `enter` left: nothing of a user's is dropped.
            self.contents.map = self.frame.map.take();
            self.contents.identity = self.frame.identity.get();
        }
    }

    let frame = Frame {
        map: Cell::new(mem::take(&mut contents.map)),
        identity: Cell::new(contents.identity),
        task: task_id(),
        reading: Cell::new(ptr::null()),
    };
    let _leave = Leave { frame: &frame, outer: CURRENT.replace(&frame), contents };
    f()
}

/// Gives `f` the value of `variable` in the current context. It stays as it is while `f` runs.
pub(crate) fn read<T: 'static, R>(variable: &Variable<T>, f: impl FnOnce(Option<&T>) -> R) -> R {
    let Some(frame) = readable() else { return f(None) };
    // SAFETY: the frame is alive (see `readable`), and this reference to its map is used only until the
    // value is found, while nothing else runs on this thread.
    let Some(value) = (unsafe { &*frame.map.as_ptr() }).get(variable) else { return f(None) };
    if let Some(value) = storage::copied(value) {
        return f(Some(&value));
    }
    // From here on the value does not depend on the frame's map: a write leaves it to the reading.
    Reading::with(frame, || f(Some(value)))
}

/// Whether `variable` is set in the current context.
pub(crate) fn is_set<T: 'static>(variable: &Variable<T>) -> bool {
    // SAFETY: as in `read`.
    readable().is_some_and(|frame| unsafe { &*frame.map.as_ptr() }.get(variable).is_some())
}

/// A copy of the current context's map; an empty one where there is no context.
pub(crate) fn copy() -> Map {
    // SAFETY: as in `read`.
    readable().map(|frame| unsafe { &*frame.map.as_ptr() }.clone()).unwrap_or_default()
}

/// What undoes a `set`: the value that was there before, and the context in which that was.
pub(crate) struct Undo<T: 'static> {
    pub(crate) old: Option<Stored<T>>,
    identity: Identity,
}

/// Sets `variable` in the current context.
pub(crate) fn set<T: 'static>(variable: &'static Variable<T>, value: T) -> Result<Undo<T>, (Denied, T)> {
    match writable() {
        Ok(frame) => Ok(Undo {
            old: frame.replace(variable, Some(Stored::new(variable, value))),
            identity: frame.identity(),
        }),
        Err(denied) => Err((denied, value)),
    }
}

/// Undoes a `set` of `variable`, if the current context is the same and may be written.
pub(crate) fn reset<T: 'static>(variable: &'static Variable<T>, undo: Undo<T>) -> Result<(), Undo<T>> {
    match writable() {
        Ok(frame) if frame.identity.get() == Some(undo.identity) => {
            drop(frame.replace(variable, undo.old));
            Ok(())
        }
        _ => Err(undo),
    }
}

/// The frame that reads see.
///
/// It is alive, and stays so while the caller runs: frames end in the order of the stack, and the thread's
/// own one is there until the thread is gone.
fn readable<'a>() -> Option<&'a Frame> {
    let current = CURRENT.get();
    if !current.is_null() {
        // SAFETY: `enter` set it to a frame on its stack, and sets it back before that frame ends.
        return Some(unsafe { &*current });
    }
    // A task that was given no context has none; the thread's is not for it.
    task_id().is_none().then(own)
}

/// The frame that writes change. Alive as that of [`readable`] is.
fn writable<'a>() -> Result<&'a Frame, Denied> {
    let current = CURRENT.get();
    if current.is_null() {
        if task_id().is_some() {
            return Err(Denied::NoContext);
        }
        // Makes sure that what is written will be dropped. Fails once that has happened.
        OWN_EMPTIED.try_with(|_| ()).map_err(|_| Denied::ThreadExit)?;
        return Ok(own());
    }
    // SAFETY: as in `readable`.
    let frame = unsafe { &*current };
    if frame.task == task_id() { Ok(frame) } else { Err(Denied::OtherTask) }
}

fn own<'a>() -> &'a Frame {
    let own: *const Frame = OWN.with(|own| &raw const **own);
    // SAFETY: a thread-local without a destructor is there until its thread is gone.
    unsafe { &*own }
}

impl Frame {
    /// Puts `new` in the place of `variable`, and hands back what was there.
    fn replace<T: 'static>(
        &self,
        variable: &'static Variable<T>,
        new: Option<Stored<T>>,
    ) -> Option<Stored<T>> {
        let mut map = self.take_map();
        let (old, replaced) = map.replace(variable, new);
        self.map.set(map);
        // The write is whole. Only now may a value be dropped, whose `Drop` can do anything.
        drop(replaced);
        old
    }

    /// Takes the map out, for a write. If a reading is under way it gets a share of it, so that nothing the
    /// reading sees is changed in place or dropped.
    fn take_map(&self) -> Map {
        let map = self.map.take();
        // SAFETY: a reading is on the list only while it is on the stack.
        if let Some(reading) = unsafe { self.reading.get().as_ref() } {
            reading.keep(map.clone());
        }
        map
    }

    fn identity(&self) -> Identity {
        self.identity.get().unwrap_or_else(|| {
            let identity = Identity::new();
            self.identity.set(Some(identity));
            identity
        })
    }
}

/// A use of a value in a frame's map that is under way, on the stack of the reader.
struct Reading {
    /// The one around it in the same frame.
    outer: *const Reading,
    /// The map that the value is in, if there was a write since.
    kept: Cell<Option<Map>>,
}

impl Reading {
    fn with<R>(frame: &Frame, f: impl FnOnce() -> R) -> R {
        /// Ends the reading, also on a panic.
        struct End<'a>(&'a Frame, &'a Reading);

        impl Drop for End<'_> {
            fn drop(&mut self) {
                let End(frame, reading) = self;
                frame.reading.set(reading.outer);
                let Some(map) = reading.kept.take() else { return };
                // SAFETY: the outer reading is further up the same stack.
                match unsafe { reading.outer.as_ref() } {
                    // The outer one may see values of the same map.
                    Some(outer) => outer.keep(map),
                    None => drop(map),
                }
            }
        }

        let reading = Reading { outer: frame.reading.get(), kept: Cell::new(None) };
        frame.reading.set(&reading);
        let _end = End(frame, &reading);
        f()
    }

    /// Keeps `map` until the reading ends, unless it has an older one: what it sees is in that.
    fn keep(&self, map: Map) {
        let older = self.kept.take();
        let (kept, unneeded) = match older {
            Some(older) => (older, Some(map)),
            None => (map, None),
        };
        self.kept.set(Some(kept));
        drop(unneeded);
    }
}

#[cfg(feature = "tokio")]
type TaskId = tokio::task::Id;
#[cfg(not(feature = "tokio"))]
type TaskId = std::convert::Infallible;

/// The tokio task that this code runs in, if any.
fn task_id() -> Option<TaskId> {
    #[cfg(feature = "tokio")]
    return tokio::task::try_id();
    #[cfg(not(feature = "tokio"))]
    return None;
}
