//! The list of contexts, in shards that each have a lock. A thread adds to its own shard.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;

use super::clock::{self, Time};
use super::entry::Entry;
use super::thread;
use crate::hand_over::Kind;

const SHARDS: usize = 64;

/// The number of finished contexts that a shard remembers.
const FINISHED: usize = 1024;

// Each shard has a cache line of its own.
#[repr(align(64))]
struct Shard(Mutex<Contexts>);

struct Contexts {
    live: Slab<Arc<Entry>>,
    /// The contexts that finished last, the oldest first.
    finished: VecDeque<Finished>,
    /// When the last context that was removed from `finished` had finished, or 0.
    forgotten: Time,
}

/// A context that has finished.
#[derive(Clone)]
pub(super) struct Finished {
    pub(super) number: u64,
    /// 0 stands for none.
    pub(super) parent: u64,
    pub(super) name: Option<Arc<str>>,
    pub(super) location: &'static Location<'static>,
    pub(super) handed_over: Time,
    pub(super) finished: Time,
    pub(super) busy: Time,
    pub(super) polls: u64,
    pub(super) kind: Kind,
}

static LIST: [Shard; SHARDS] =
    [const { Shard(Mutex::new(Contexts { live: Slab::new(), finished: VecDeque::new(), forgotten: 0 })) };
        SHARDS];

/// When the list was last turned on, or 0.
static RECORD_BEGAN: AtomicU64 = AtomicU64::new(0);

/// The position of an entry in the list.
pub(super) struct Slot {
    shard: AtomicU32,
    key: AtomicU32,
}

impl Slot {
    pub(super) fn new() -> Slot {
        Slot { shard: AtomicU32::new(0), key: AtomicU32::new(0) }
    }
}

fn lock(shard: usize) -> MutexGuard<'static, Contexts> {
    LIST[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a context.
pub(super) fn add(entry: &Arc<Entry>) {
    let shard = thread::number() as usize % SHARDS;
    let key = lock(shard).live.insert(entry.clone());
    entry.slot.shard.store(shard as u32, Ordering::Relaxed);
    entry.slot.key.store(key.try_into().expect("fewer than 2^32 contexts"), Ordering::Relaxed);
}

/// Removes a context that has finished. `parent` is the number of its parent, or 0.
pub(super) fn remove(entry: &Entry, parent: u64, name: Option<Arc<str>>) {
    let Slot { shard, key } = &entry.slot;
    let counts = entry.counts();
    let finished = Finished {
        number: entry.number,
        parent,
        name,
        location: entry.location,
        handed_over: entry.handed_over,
        finished: entry.finished().unwrap_or_default(),
        busy: counts.busy,
        polls: counts.polls,
        kind: entry.kind(),
    };
    let mut contexts = lock(shard.load(Ordering::Relaxed) as usize);
    let removed = contexts.live.remove(key.load(Ordering::Relaxed) as usize);
    let mut oldest = None;
    if super::is_on() {
        if contexts.finished.len() == FINISHED {
            oldest = contexts.finished.pop_front();
        }
        contexts.forgotten = oldest.as_ref().map_or(contexts.forgotten, |oldest| oldest.finished);
        contexts.finished.push_back(finished);
    }
    drop(contexts);
    drop((removed, oldest));
}

/// Returns the contexts that are listed.
pub(super) fn live() -> Vec<Arc<Entry>> {
    let mut live = Vec::new();
    for shard in 0..SHARDS {
        live.extend(lock(shard).live.iter().map(|(_, entry)| entry.clone()));
    }
    live
}

/// Returns the contexts that finished last, the earliest end first, and the time before which some are missing.
pub(super) fn finished() -> (Vec<Finished>, Time) {
    let mut finished: Vec<Finished> = Vec::new();
    // What ended while the list was off is missing.
    let mut forgotten = RECORD_BEGAN.load(Ordering::Relaxed);
    for shard in 0..SHARDS {
        let contexts = lock(shard);
        finished.extend(contexts.finished.iter().cloned());
        forgotten = forgotten.max(contexts.forgotten);
    }
    finished.sort_by_key(|finished| finished.finished);
    (finished, forgotten)
}

/// Notes that the list is turned on.
pub(super) fn begin_record() {
    RECORD_BEGAN.store(clock::exact(), Ordering::Relaxed);
}

/// Forgets the contexts that have finished.
pub(super) fn forget_finished() {
    for shard in 0..SHARDS {
        let mut contexts = lock(shard);
        contexts.finished = VecDeque::new();
        contexts.forgotten = 0;
    }
}
