//! Counted pointers.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::counted::Counted;
use crate::sync::model;

/// A value for which loom detects unordered reads and writes, and a missing drop.
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

// SAFETY: only a sole owner writes it, as with a node. loom checks that.
unsafe impl Send for Value {}
// SAFETY: as above.
unsafe impl Sync for Value {}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: only the last owner drops it, which loom checks.
        self.cell.with_mut(|value| unsafe { *value += 1 });
        self.drops.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(counted: &Counted) -> u32 {
    // SAFETY: it points to a `Value`, which no owner writes while it is shared. loom checks that.
    unsafe { counted.get::<Value>().cell.with(|value| *value) }
}

/// Writes in place if the pointer is unique, as `Map` does.
fn write_if_unique(counted: &mut Counted) -> bool {
    let unique = counted.is_unique();
    if unique {
        // SAFETY: it points to a `Value`, and is unique.
        unsafe { counted.get_mut::<Value>().cell.with_mut(|value| *value = 7) };
    }
    unique
}

#[test]
fn the_last_owner_drops_a_counted_value_once() {
    model(|| {
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
fn a_write_in_place_happens_after_the_reads_of_former_owners() {
    model(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let mut own = Value::counted(&drops);
        let other = own.clone();
        let thread = thread::spawn(move || {
            let mut other = other;
            assert_eq!(read(&other), 1);
            write_if_unique(&mut other)
        });
        // Without this, loom never lets the other thread end first.
        thread::yield_now();
        let wrote_here = write_if_unique(&mut own);
        let kept = own.clone();
        drop(own);
        let wrote_there = thread.join().unwrap();
        assert!(!wrote_there, "the value is shared until the other thread ends");
        assert_eq!(read(&kept), if wrote_here { 7 } else { 1 });
    });
}
