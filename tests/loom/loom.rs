//! Every order in which threads can do what contextvar does with atomics of its own.
//!
//! The counted pointer is the library's file itself. The others are the library's few lines once more, for its
//! variables are statics, which loom's atomics can't be in, and its contexts are entered through thread-locals.

// What is made for statics is not used here.
#[allow(dead_code, unreachable_pub)]
#[path = "../../contextvar/src/storage/counted.rs"]
mod counted;
#[path = "../../contextvar/src/on_drop.rs"]
mod on_drop;

/// What `counted` counts with.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicUsize, Ordering};
}

use counted::Counted;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

/// A value in which loom sees reads and writes that are not in order, and one that is not dropped.
struct Value {
    cell: UnsafeCell<u32>,
    drops: Arc<AtomicUsize>,
    _tracked: loom::alloc::Track<()>,
}

impl Value {
    fn counted(drops: &Arc<AtomicUsize>) -> Counted {
        let _tracked = loom::alloc::Track::new(());
        Counted::new(Value { cell: UnsafeCell::new(1), drops: drops.clone(), _tracked })
    }
}

// SAFETY: as a node is, it is written only by who is its sole owner; loom checks that.
unsafe impl Send for Value {}
// SAFETY: as above.
unsafe impl Sync for Value {}

impl Drop for Value {
    fn drop(&mut self) {
        // The last owner has it alone.
        // SAFETY: loom checks it.
        self.cell.with_mut(|value| unsafe { *value += 1 });
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(counted: &Counted) -> u32 {
    // SAFETY: it points to a `Value`, and nobody writes it while others have it, which loom checks.
    unsafe { counted.get::<Value>().cell.with(|value| *value) }
}

/// Writes in place where nobody else has it, as `Map` does.
fn write_if_unique(counted: &mut Counted) -> bool {
    let unique = counted.is_unique();
    if unique {
        // SAFETY: it points to a `Value`, and is unique.
        unsafe { counted.get_mut::<Value>().cell.with_mut(|value| *value = 7) };
    }
    unique
}

#[test]
fn a_counted_value_is_dropped_once_by_the_last_of_its_owners() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let first = Value::counted(&drops);
        let threads = [first.clone(), first.clone()].map(|counted| {
            thread::spawn(move || {
                assert_eq!(read(&counted), 1);
                drop(counted.clone());
            })
        });
        drop(first);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(drops.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_write_in_place_comes_after_the_reads_of_former_owners() {
    loom::model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let mut own = Value::counted(&drops);
        let other = own.clone();
        let thread = thread::spawn(move || {
            let mut other = other;
            assert!([1].contains(&read(&other)));
            write_if_unique(&mut other)
        });
        // Else loom never lets the other one end first.
        thread::yield_now();
        let here = write_if_unique(&mut own);
        let kept = own.clone();
        drop(own);
        let there = thread.join().unwrap();
        assert!(!there, "the other has it until the end");
        assert_eq!(read(&kept), if here { 7 } else { 1 });
    });
}

/// `storage::Variable`'s slot and `storage::REGISTRY`.
struct Slots {
    slot: AtomicU32,
    last: Mutex<u32>,
}

impl Slots {
    fn slot_for_write(&self) -> u32 {
        match self.slot.load(Ordering::Relaxed) {
            0 => {
                let mut last = self.last.lock().unwrap();
                if self.slot.load(Ordering::Relaxed) == 0 {
                    *last += 1;
                    self.slot.store(*last, Ordering::Relaxed);
                }
                self.slot.load(Ordering::Relaxed)
            }
            slot => slot,
        }
    }
}

#[test]
fn a_variable_has_one_slot_and_who_sees_its_value_sees_the_slot() {
    loom::model(|| {
        let slots = Arc::new(Slots { slot: AtomicU32::new(0), last: Mutex::new(0) });
        // A context with the value, on its way to another thread.
        let sent = Arc::new(Mutex::new(None));
        let writers = [(); 2].map(|()| {
            let (slots, sent) = (slots.clone(), sent.clone());
            thread::spawn(move || {
                let slot = slots.slot_for_write();
                *sent.lock().unwrap() = Some(slot);
                slot
            })
        });
        if let Some(slot) = *sent.lock().unwrap() {
            assert_eq!(slots.slot.load(Ordering::Relaxed), slot);
        }
        assert_eq!(writers.map(|writer| writer.join().unwrap()), [1, 1]);
    });
}

/// `var::ContextVar`'s default, with a mutex in the place of `OnceCell`, which lets one thread at a time in.
struct Default {
    computing: AtomicUsize,
    computed: AtomicUsize,
    value: Mutex<Option<u32>>,
}

impl Default {
    fn get(&self, this_thread: usize, reads_itself: bool) -> Option<u32> {
        if self.computing.load(Ordering::Relaxed) == this_thread {
            return None;
        }
        let mut value = self.value.lock().unwrap();
        Some(*value.get_or_insert_with(|| {
            self.computing.store(this_thread, Ordering::Relaxed);
            if reads_itself {
                assert_eq!(self.get(this_thread, false), None);
            }
            self.computed.fetch_add(1, Ordering::Relaxed);
            self.computing.store(0, Ordering::Relaxed);
            7
        }))
    }
}

#[test]
fn a_default_is_computed_once_and_only_its_own_thread_takes_it_for_its_own() {
    loom::model(|| {
        let default = Arc::new(Default {
            computing: AtomicUsize::new(0),
            computed: AtomicUsize::new(0),
            value: Mutex::new(None),
        });
        let threads = [1, 2].map(|number| {
            let default = default.clone();
            thread::spawn(move || default.get(number, true))
        });
        assert_eq!(threads.map(|thread| thread.join().unwrap()), [Some(7); 2]);
        assert_eq!(default.computed.load(Ordering::Relaxed), 1);
    });
}

/// `current::TaskContext`, and the two promises of tokio that it relies on: a task is current on one thread at a time, and
/// what happened there happened before the next time.
struct TaskContext {
    /// tokio's state of the task.
    is_current: AtomicBool,
    owner: AtomicUsize,
    context: UnsafeCell<u32>,
    published: Mutex<u32>,
}

const NOBODY: usize = 0;
const ENDED: usize = 1;

// SAFETY: one thread at a time uses the context, which loom checks.
unsafe impl Sync for TaskContext {}

impl TaskContext {
    fn new() -> Self {
        TaskContext {
            is_current: AtomicBool::new(false),
            owner: AtomicUsize::new(NOBODY),
            context: UnsafeCell::new(0),
            published: Mutex::new(0),
        }
    }

    fn read(&self) -> u32 {
        // SAFETY: loom checks that no other thread writes it meanwhile.
        self.context.with(|context| unsafe { *context })
    }

    /// Adds one, if the context has not ended, while the task is current on `this_thread`: in a poll, or in the drop of its
    /// output. Where tokio would make the task current later, nothing is done: loom would try for ever.
    fn write(&self, this_thread: usize) -> Option<u32> {
        if self.is_current.swap(true, Ordering::Acquire) {
            return None;
        }
        let is_owner = self.owner.load(Ordering::Relaxed) == this_thread || {
            let _published = self.published.lock().unwrap();
            let owner = self.owner.load(Ordering::Relaxed);
            let change = || {
                self.owner.compare_exchange(owner, this_thread, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            };
            owner != ENDED && change()
        };
        let written = is_owner.then(|| {
            // SAFETY: loom checks that nobody else uses it meanwhile.
            self.context.with_mut(|context| unsafe {
                *context += 1;
                *context
            })
        });
        self.is_current.store(false, Ordering::Release);
        written
    }

    /// What a hook of the user's sees, outside of the task.
    fn publish(&self, this_thread: usize) -> u32 {
        let mut published = self.published.lock().unwrap();
        if self.owner.load(Ordering::Relaxed) == this_thread {
            *published = self.read();
        }
        *published
    }

    /// Takes the values, in the hook at the end of the task.
    fn end(&self, this_thread: usize) -> bool {
        let change = self.owner.compare_exchange(this_thread, ENDED, Ordering::AcqRel, Ordering::Relaxed);
        if change.is_ok() {
            // SAFETY: loom checks that nobody else uses it meanwhile.
            self.context.with_mut(|context| unsafe { *context = 0 });
        }
        change.is_ok()
    }
}

#[test]
fn a_task_context_is_used_by_one_thread_at_a_time() {
    loom::model(|| {
        let task = Arc::new(TaskContext::new());
        let threads = [2, 3].map(|this_thread| {
            let task = task.clone();
            thread::spawn(move || task.write(this_thread).map(|written| (written, task.publish(this_thread))))
        });
        let polls = threads.map(|thread| thread.join().unwrap());
        let last = polls.into_iter().flatten().map(|(written, _)| written).max();
        for (written, published) in polls.into_iter().flatten() {
            // What its own poll has left, or what another poll has.
            assert!(published <= last.unwrap(), "{written} {published}");
        }
    });
}

#[test]
fn a_task_context_that_ends_while_the_output_is_dropped_elsewhere() {
    loom::model(|| {
        let task = Arc::new(TaskContext::new());
        assert_eq!(task.write(2), Some(1));
        let ends = thread::spawn({
            let task = task.clone();
            move || (task.publish(2), task.end(2))
        });
        let written = task.write(3);
        let (published, ended) = ends.join().unwrap();
        // Either the hook has the context, or the drop has.
        assert_eq!(written.is_none(), ended);
        assert!([0, 1].contains(&published));
    });
}
