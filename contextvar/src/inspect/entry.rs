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

/// The record of a listed context. The thread that runs the work writes it without locks. A snapshot reads it.
pub(crate) struct Entry {
    /// The frame of the context while it is current.
    pub(crate) frame: ListedFrame,
    pub(super) number: u64,
    /// The number of the context that was current at the hand-over, or 0.
    handed_over_by: u64,
    pub(super) location: &'static Location<'static>,
    pub(super) handed_over: Time,
    /// When the context finished, or 0.
    finished: AtomicU64,
    polls: AtomicU64,
    busy: AtomicU64,
    longest_poll: AtomicU64,
    /// When the current poll began or, between two polls, when the last one ended. 0 before the first poll.
    last: AtomicU64,
    /// The number of the task that polled last, or 0.
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
    name: Option<Arc<str>>,
}

/// Lists a context until it is dropped. [`Listing::NONE`] lists none.
pub(crate) struct Listing(Option<Arc<Entry>>);

impl Listing {
    pub(crate) const NONE: Listing = Listing(None);

    /// Lists a context with these values below the current one.
    #[cold]
    pub(crate) fn new(map: Map, kind: Kind, location: &'static Location<'static>) -> Self {
        Listing::below(innermost_entry(), map, kind, location)
    }

    /// Lists an empty context that works for no other one.
    #[cfg(feature = "tokio")]
    #[cold]
    pub(crate) fn new_root(kind: Kind, location: &'static Location<'static>) -> Self {
        Listing::below(None, Map::EMPTY, kind, location)
    }

    #[inline(always)]
    fn below(parent: Option<Arc<Entry>>, map: Map, kind: Kind, location: &'static Location<'static>) -> Self {
        let entry = Arc::new(Entry {
            frame: ListedFrame::new(),
            number: thread::next_context_number(),
            handed_over_by: parent.as_ref().map_or(0, |parent| parent.number),
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
            state: Mutex::new(State { map, parent, name: None }),
        });
        list::add(&entry);
        Listing(Some(entry))
    }

    #[inline]
    pub(crate) fn entry(&self) -> Option<&Arc<Entry>> {
        self.0.as_ref()
    }
}

impl Drop for Listing {
    #[inline]
    fn drop(&mut self) {
        #[cold]
        #[inline(never)]
        fn finish(entry: Arc<Entry>) {
            entry.finish();
        }

        // Only this test is inline in the drop of a context.
        if let Some(entry) = self.0.take() {
            finish(entry);
        }
    }
}

impl Entry {
    /// Records that this thread begins a poll in `task`.
    #[inline]
    pub(crate) fn begin_poll(&self, task: Option<TaskId>) {
        self.task.store(task.map_or(0, number_of), Ordering::Relaxed);
        self.last.store(clock::now(), Ordering::Relaxed);
        // From -1 to 0 for an entry that is no poll.
        self.polls.store(self.polls.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        // Last, so that `counts` finds the numbers of this poll if it finds the thread.
        self.thread.store(thread::number(), Ordering::Release);
    }

    /// Records the end of the poll.
    #[inline]
    pub(crate) fn end_poll(&self) {
        self.add_poll(self.last.load(Ordering::Relaxed));
        self.thread.store(0, Ordering::Relaxed);
    }

    /// Records the end of a poll by this thread, unless another thread already polls the task: when tokio calls the
    /// hook after a poll, the task can already be polled again.
    #[cfg(all(feature = "runtime-hooks", tokio_unstable))]
    pub(crate) fn end_poll_in_hook(&self) {
        let began = self.last.load(Ordering::Relaxed);
        let thread = thread::number();
        if self.thread.compare_exchange(thread, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            self.add_poll(began);
        }
    }

    /// Adds the time of a poll that ends now.
    #[inline]
    fn add_poll(&self, began: Time) {
        let now = clock::now();
        let time = now.saturating_sub(began);
        // Most polls take less than a tick.
        if time != 0 {
            self.busy.store(self.busy.load(Ordering::Relaxed) + time, Ordering::Relaxed);
            if time > self.longest_poll.load(Ordering::Relaxed) {
                self.longest_poll.store(time, Ordering::Relaxed);
            }
        }
        self.last.store(now, Ordering::Relaxed);
    }

    /// Returns true if this is the context of code in `task`.
    pub(crate) fn is_of_task(&self, task: Option<TaskId>) -> bool {
        self.task.load(Ordering::Relaxed) == task.map_or(0, number_of)
    }

    /// Excludes the next entry of the context from the number of polls.
    pub(crate) fn next_entry_is_no_poll(&self) {
        self.polls.store(self.polls.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
    }

    #[cfg(any(feature = "hyper", feature = "tower"))]
    pub(crate) fn set_kind(&self, kind: Kind) {
        self.kind.store(kind as u8, Ordering::Relaxed);
    }

    pub(super) fn set_name(&self, name: Arc<str>) {
        let old = self.lock().name.replace(name);
        drop(old);
    }

    /// Replaces the copy of the context's map after a write. Returns the old copy, whose drop can drop values.
    pub(crate) fn publish(&self, map: Map) -> Map {
        mem::replace(&mut self.lock().map, map)
    }

    /// Begins a write to the context's map. Call [`WriteInProgress::end`] next, and run no user code before it.
    #[cold]
    pub(crate) fn begin_write(&self) -> WriteInProgress<'_> {
        let mut state = self.lock();
        // Dropping the copy frees nothing, because the context shares the map. Keeping it would make the write copy
        // the map's nodes.
        state.map = Map::EMPTY;
        WriteInProgress(state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self) {
        // The request as a whole has finished, not only its body.
        if self.kind() == Kind::Body {
            self.kind.store(Kind::Request as u8, Ordering::Relaxed);
        }
        self.finished.store(clock::now(), Ordering::Relaxed);
        let (map, name, finished_parent) = {
            let mut state = self.lock();
            let finished_parent = state.parent.as_ref().filter(|it| it.is_finished()).cloned();
            (mem::take(&mut state.map), state.name.clone(), finished_parent)
        };
        if let Some(parent) = finished_parent {
            let kept = parent.kept_ancestor();
            let old = self.lock().parent.replace(kept);
            drop(old);
        }
        list::remove(self, self.handed_over_by, name);
        // Can drop values, so it must run outside of the locks.
        drop(map);
    }

    /// Returns the ancestor that a finished child refers to while contexts that it handed over live: this context if
    /// it lives; otherwise the topmost request below the nearest live ancestor; without such a request, that ancestor,
    /// or the topmost context. A job that always hands over the next job therefore keeps no chain of finished jobs, and
    /// each job stays below its request.
    fn kept_ancestor(self: Arc<Entry>) -> Arc<Entry> {
        let mut top_request = None;
        let mut entry = self;
        while entry.is_finished() {
            if matches!(entry.kind(), Kind::Request | Kind::Body) {
                top_request = Some(entry.clone());
            }
            match entry.parent() {
                Some(parent) => entry = parent,
                None => break,
            }
        }
        top_request.unwrap_or(entry)
    }

    /// Returns the number of the context that was current at the hand-over.
    pub(super) fn handed_over_by(&self) -> Option<u64> {
        Some(self.handed_over_by).filter(|&number| number != 0)
    }

    /// Returns the context that was current at the hand-over, or an ancestor of it.
    pub(super) fn parent(&self) -> Option<Arc<Entry>> {
        self.lock().parent.clone()
    }

    fn take_parent(&mut self) -> Option<Arc<Entry>> {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).parent.take()
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

    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.lock().name.clone()
    }

    /// Calls `f` with the copy of the context's map, under the lock. `f` must run no user code.
    pub(super) fn with_map<R>(&self, f: impl FnOnce(&Map) -> R) -> R {
        f(&self.lock().map)
    }

    /// Returns the numbers that polls change.
    pub(super) fn counts(&self) -> Counts {
        // Read before the thread, so that the time of a poll that ends meanwhile is not counted twice.
        let busy = self.busy.load(Ordering::Acquire);
        let thread = self.thread.load(Ordering::Acquire);
        Counts {
            // Can be -1 shortly before an entry that is no poll.
            polls: (self.polls.load(Ordering::Relaxed) as i64).max(0) as u64,
            busy,
            // A poll can have ended since `busy` was read.
            longest_poll: self.longest_poll.load(Ordering::Relaxed).min(busy),
            // Read after the thread: an earlier reading could be the end of the last poll, perhaps an hour ago.
            last: self.last.load(Ordering::Relaxed),
            task: self.task.load(Ordering::Relaxed),
            thread,
        }
    }
}

/// The numbers of an entry that polls change.
pub(super) struct Counts {
    pub(super) polls: u64,
    pub(super) busy: Time,
    pub(super) longest_poll: Time,
    pub(super) last: Time,
    pub(super) task: u64,
    pub(super) thread: u32,
}

/// A write to a context's map. No snapshot reads the entry's copy of the map during the write.
pub(crate) struct WriteInProgress<'a>(MutexGuard<'a, State>);

impl WriteInProgress<'_> {
    #[cold]
    pub(crate) fn end(mut self, map: &Map) {
        self.0.map = map.clone();
    }
}

impl Drop for Entry {
    /// Drops a long chain of parents without recursion.
    fn drop(&mut self) {
        let mut parent = self.take_parent();
        while let Some(mut entry) = parent.and_then(Arc::into_inner) {
            parent = entry.take_parent();
        }
    }
}
