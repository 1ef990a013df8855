//! A listed context.

use std::mem;
use std::panic::Location;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::{self, Time};
use super::list::{self, Slot};
use super::thread;
use crate::current::{ListedFrame, TaskId, innermost_entry, number_of};
use crate::hand_over::Kind;
use crate::storage::Map;

/// What is known about a listed context. The thread that runs the work writes it, without locks; a snapshot
/// reads it.
pub(crate) struct Entry {
    /// The frame of the context while it is current.
    pub(crate) frame: ListedFrame,
    pub(super) number: u64,
    pub(super) location: &'static Location<'static>,
    pub(super) handed_over: Time,
    /// When the context was let go of, or 0.
    finished: AtomicU64,
    polls: AtomicU64,
    busy: AtomicU64,
    longest_poll: AtomicU64,
    /// When the current poll began; or, between two, when the last one ended. 0 before the first one.
    last: AtomicU64,
    /// The number of the task that polls, or 0.
    task: AtomicU64,
    /// The [number](thread::number) of the thread that polls, or 0 between two polls.
    thread: AtomicU32,
    kind: AtomicU8,
    pub(super) slot: Slot,
    state: Mutex<State>,
}

struct State {
    /// A copy of the context's map. It keeps no value alive that the context does not keep: each write to the
    /// context replaces it.
    map: Map,
    /// The context that was current at the hand-over, or an ancestor of it.
    parent: Option<Arc<Entry>>,
    name: Option<Box<str>>,
}

/// Lists a context until it is dropped.
pub(crate) struct Listing(Arc<Entry>);

impl Listing {
    /// Lists a context with these values.
    pub(crate) fn new(map: Map, kind: Kind, location: &'static Location<'static>) -> Self {
        let entry = Arc::new(Entry {
            frame: ListedFrame::new(),
            number: thread::next_context_number(),
            location,
            handed_over: clock::now(),
            finished: AtomicU64::new(0),
            polls: AtomicU64::new(0),
            busy: AtomicU64::new(0),
            longest_poll: AtomicU64::new(0),
            last: AtomicU64::new(0),
            task: AtomicU64::new(0),
            thread: AtomicU32::new(0),
            kind: AtomicU8::new(kind as u8),
            slot: Slot::new(),
            state: Mutex::new(State { map, parent: innermost_entry(), name: None }),
        });
        list::add(&entry);
        Listing(entry)
    }

    pub(crate) fn entry(&self) -> &Arc<Entry> {
        &self.0
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.0.finish();
    }
}

impl Entry {
    /// Notes the begin of a poll by this thread, in `task`.
    #[inline]
    pub(crate) fn begin_poll(&self, task: Option<TaskId>) {
        self.task.store(task.map_or(0, number_of), Ordering::Relaxed);
        self.thread.store(thread::number(), Ordering::Relaxed);
        self.last.store(clock::now(), Ordering::Relaxed);
        // From -1 to 0, if it is no poll.
        self.polls.store(self.polls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Notes the end of the poll.
    #[inline]
    pub(crate) fn end_poll(&self) {
        let now = clock::now();
        let time = now.saturating_sub(self.last.load(Ordering::Relaxed));
        // Most polls take less than a tick.
        if time != 0 {
            self.busy.store(self.busy.load(Ordering::Relaxed) + time, Ordering::Relaxed);
            if time > self.longest_poll.load(Ordering::Relaxed) {
                self.longest_poll.store(time, Ordering::Relaxed);
            }
        }
        self.last.store(now, Ordering::Relaxed);
        self.thread.store(0, Ordering::Relaxed);
    }

    /// Returns true if this is the context of code in `task`.
    pub(crate) fn is_of_task(&self, task: Option<TaskId>) -> bool {
        self.task.load(Ordering::Relaxed) == task.map_or(0, number_of)
    }

    /// Does not count the next entry of the context as a poll.
    pub(crate) fn next_entry_is_no_poll(&self) {
        self.polls.store(self.polls.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
    }

    #[cfg(any(feature = "hyper", feature = "tower"))]
    pub(crate) fn set_kind(&self, kind: Kind) {
        self.kind.store(kind as u8, Ordering::Relaxed);
    }

    pub(super) fn set_name(&self, name: Box<str>) {
        let old = self.lock().name.replace(name);
        drop(old);
    }

    /// Replaces the copy of the context's map after a write. Returns the old copy, whose drop can drop values.
    pub(crate) fn publish(&self, map: Map) -> Map {
        mem::replace(&mut self.lock().map, map)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self) {
        // What has finished is the request as a whole.
        if self.kind() == Kind::Body {
            self.kind.store(Kind::Request as u8, Ordering::Relaxed);
        }
        self.finished.store(clock::now(), Ordering::Relaxed);
        let parent = self.parent();
        let kept = parent.clone().map(Entry::kept_ancestor);
        let (map, old_parent) = {
            let mut state = self.lock();
            (mem::take(&mut state.map), mem::replace(&mut state.parent, kept))
        };
        list::remove(self, parent.map_or(0, |parent| parent.number));
        // Drops values, hence outside of the locks.
        drop((map, old_parent));
    }

    /// Returns the ancestor that a context refers to from its end on, while contexts that it has handed over live:
    /// this one if it lives; or else its nearest ancestor that lives; or else the topmost request, or the
    /// topmost context. So a job that always hands over the next job keeps no chain of ended ones.
    fn kept_ancestor(self: Arc<Entry>) -> Arc<Entry> {
        let mut top_request = None;
        let mut entry = self;
        while entry.is_finished() {
            if matches!(entry.kind(), Kind::Request | Kind::Body) {
                top_request = Some(entry.clone());
            }
            match entry.parent() {
                Some(parent) => entry = parent,
                None => return top_request.unwrap_or(entry),
            }
        }
        entry
    }

    pub(super) fn parent(&self) -> Option<Arc<Entry>> {
        self.lock().parent.clone()
    }

    pub(super) fn kind(&self) -> Kind {
        const KINDS: [Kind; 8] = [
            Kind::Request,
            Kind::Body,
            Kind::Task,
            Kind::BlockingCall,
            Kind::Thread,
            Kind::Stream,
            Kind::Closure,
            Kind::Scope,
        ];
        KINDS[usize::from(self.kind.load(Ordering::Relaxed))]
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Relaxed) != 0
    }

    /// Returns when the context was let go of.
    pub(super) fn finished(&self) -> Option<Time> {
        Some(self.finished.load(Ordering::Relaxed)).filter(|&time| time != 0)
    }

    pub(super) fn name(&self) -> Option<String> {
        self.lock().name.as_deref().map(str::to_owned)
    }

    /// Calls `f` with the copy of the context's map, under the lock: `f` must run no code of the user.
    pub(super) fn with_map<R>(&self, f: impl FnOnce(&Map) -> R) -> R {
        f(&self.lock().map)
    }

    /// Returns the numbers that polls change.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            // -1 shortly before an entry that is no poll.
            polls: (self.polls.load(Ordering::Relaxed) as i64).max(0) as u64,
            busy: self.busy.load(Ordering::Relaxed),
            longest_poll: self.longest_poll.load(Ordering::Relaxed),
            last: self.last.load(Ordering::Relaxed),
            task: self.task.load(Ordering::Relaxed),
            thread: self.thread.load(Ordering::Relaxed),
        }
    }
}

/// What [`Entry::counts`] returns.
pub(super) struct Counts {
    pub(super) polls: u64,
    pub(super) busy: Time,
    pub(super) longest_poll: Time,
    pub(super) last: Time,
    pub(super) task: u64,
    pub(super) thread: u32,
}

impl Drop for Entry {
    /// Drops a long chain of parents without recursion.
    fn drop(&mut self) {
        let mut parent = self.lock().parent.take();
        while let Some(entry) = parent.and_then(Arc::into_inner) {
            parent = entry.lock().parent.take();
        }
    }
}
