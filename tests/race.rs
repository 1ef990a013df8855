//! A data race, on purpose: `scripts/sanitize thread` has to see it, or it would see none.

use std::cell::UnsafeCell;

use contextvar::{context_var, copy_context, thread};

struct Racy(UnsafeCell<u64>);

// SAFETY: it is not; that is what this is for.
unsafe impl Sync for Racy {}

#[context_var]
static RACY: std::sync::Arc<Racy>;

#[test]
#[ignore = "undefined behaviour, for ThreadSanitizer to find"]
fn two_threads_write_a_value_that_copies_share() {
    RACY.set(Racy(UnsafeCell::new(0)).into());
    // SAFETY: as above.
    let write = || RACY.with(|racy| unsafe { *racy.0.get() += 1 });
    let other = thread::spawn(write);
    copy_context().run(write);
    other.join().unwrap();
}
