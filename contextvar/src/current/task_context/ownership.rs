use std::mem;
use std::sync::PoisonError;

use crate::current::this_thread;
use crate::storage::Map;
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// Decides which thread can use the contents of a task's context, and holds a copy of the map for hooks on
/// other threads.
pub(super) struct Ownership {
    /// The [number](this_thread) of the thread that used the contents last, or `NO_OWNER`, or `ENDED`.
    owner: AtomicUsize,
    /// The map for the user's hooks on threads other than the owner's. `None` if the user has no hooks.
    /// Locked while a hook uses the contents, and while the owner changes.
    published: Option<Mutex<Map>>,
}

/// The owner of contents that no thread has used yet.
const NO_OWNER: usize = 0;

/// The owner of contents whose task has ended. No thread can become their owner again.
const ENDED: usize = 1;

impl Ownership {
    pub(super) fn new(published: Option<Map>) -> Self {
        Ownership { owner: AtomicUsize::new(NO_OWNER), published: published.map(Mutex::new) }
    }

    /// Makes this thread the owner. Returns false if the task has ended. Call it while the task is current on
    /// this thread.
    #[inline]
    pub(super) fn acquire(&self) -> bool {
        #[cold]
        fn change_owner(ownership: &Ownership) -> bool {
            let _published = ownership.published.as_ref().map(lock);
            let owner = ownership.owner.load(Ordering::Relaxed);
            // Fails if a hook on the owner's thread ends the context at this moment.
            owner != ENDED
                && ownership
                    .owner
                    .compare_exchange(owner, this_thread(), Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        }

        self.owner.load(Ordering::Relaxed) == this_thread() || change_owner(self)
    }

    /// Publishes the map that `copy_map` returns if this thread is the owner. Returns the published map and
    /// the one that it replaced, or an empty map if the user has no hooks.
    pub(super) fn publish(&self, copy_map: impl FnOnce() -> Map) -> (Map, Option<Map>) {
        let Some(published) = &self.published else { return (Map::EMPTY, None) };
        let mut published = lock(published);
        if self.owner.load(Ordering::Relaxed) != this_thread() {
            return (published.clone(), None);
        }
        // No other thread can become the owner while this thread has the lock.
        let map = copy_map();
        let replaced = mem::replace(&mut *published, map.clone());
        (map, Some(replaced))
    }

    /// Ends the context and returns true if this thread is the owner. Otherwise returns false. From then on
    /// only the caller uses the contents.
    pub(super) fn end(&self) -> bool {
        self.owner.compare_exchange(this_thread(), ENDED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes the published map, if the user has hooks.
    pub(super) fn take_published(&self) -> Option<Map> {
        self.published.as_ref().map(|published| mem::take(&mut *lock(published)))
    }

    /// Does what [`take_published`](Self::take_published) does, without the lock.
    pub(super) fn take_published_mut(&mut self) -> Option<Map> {
        self.published.take().map(|published| published.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

fn lock(map: &Mutex<Map>) -> MutexGuard<'_, Map> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}
