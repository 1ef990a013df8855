//! The contexts of tasks. The ownership is the library's; tokio's part is modeled: a task is current on one
//! thread at a time, and each period happens before the next one.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use crate::storage::{Map, Value, Variable};
use crate::sync::model;

#[path = "../../contextvar/src/current/task_context/ownership.rs"]
mod ownership;

use ownership::Ownership;

struct TaskContext {
    /// tokio's state of the task.
    is_current: AtomicBool,
    ownership: Ownership,
    map: UnsafeCell<Map>,
    /// A variable that counts the writes.
    writes: &'static Variable<u32>,
}

// SAFETY: one thread at a time uses the map, which loom checks.
unsafe impl Sync for TaskContext {}

impl TaskContext {
    fn new() -> Arc<Self> {
        Arc::new(TaskContext {
            is_current: AtomicBool::new(false),
            ownership: Ownership::new(Some(Map::EMPTY)),
            map: UnsafeCell::new(Map::EMPTY),
            writes: Box::leak(Box::new(Variable::new("writes"))),
        })
    }

    fn writes_in(&self, map: &Map) -> u32 {
        map.get(self.writes).copied().unwrap_or(0)
    }

    /// Writes to the context while the task is current on this thread: in a poll, or in the drop of its
    /// output. Returns the number of writes, or `None` if the context has ended. Does nothing if the task is
    /// current elsewhere, where tokio would wait: loom would try that forever.
    fn write(&self) -> Option<u32> {
        if self.is_current.swap(true, Ordering::Acquire) {
            return None;
        }
        let writes = self.ownership.acquire().then(|| {
            // SAFETY: loom checks that no other thread uses the map meanwhile.
            self.map.with_mut(|map| unsafe {
                let writes = self.writes_in(&*map) + 1;
                drop((*map).write(self.writes, Some(Value::new(self.writes, writes))));
                writes
            })
        });
        self.is_current.store(false, Ordering::Release);
        writes
    }

    /// Returns the writes that a hook of the user sees outside of the task.
    fn published_writes(&self) -> u32 {
        // SAFETY: loom checks that no other thread writes the map meanwhile.
        let copy_map = || self.map.with(|map| unsafe { (*map).clone() });
        let (map, replaced) = self.ownership.publish(copy_map);
        drop(replaced);
        self.writes_in(&map)
    }

    /// Takes the values in the hook at the end of the task, if the last poll was on this thread.
    fn end(&self) -> bool {
        let is_owner = self.ownership.end();
        if is_owner {
            // SAFETY: loom checks that no other thread uses the map meanwhile.
            drop(self.map.with_mut(|map| unsafe { std::mem::take(&mut *map) }));
        }
        drop(self.ownership.take_published());
        is_owner
    }
}

impl Drop for TaskContext {
    fn drop(&mut self) {
        drop(self.ownership.take_published_mut());
    }
}

#[test]
fn one_thread_at_a_time_uses_a_task_context() {
    model(|| {
        let task = TaskContext::new();
        let threads = [(); 2].map(|()| {
            let task = task.clone();
            thread::spawn(move || task.write().map(|writes| (writes, task.published_writes())))
        });
        let polls = threads.map(|thread| thread.join().unwrap());
        let last = polls.into_iter().flatten().map(|(writes, _)| writes).max();
        for (writes, published) in polls.into_iter().flatten() {
            // Its own poll left this, or another poll did.
            assert!(published <= last.unwrap(), "{writes} {published}");
        }
    });
}

#[test]
fn a_task_context_ends_while_another_thread_drops_the_output() {
    model(|| {
        let task = TaskContext::new();
        assert_eq!(task.write(), Some(1));
        let drops_output = thread::spawn({
            let task = task.clone();
            move || task.write()
        });
        let (published, ended) = (task.published_writes(), task.end());
        let written = drops_output.join().unwrap();
        // Either the hook gets the context, or the drop does.
        assert_eq!(written.is_none(), ended);
        assert!([0, 1].contains(&published));
    });
}
