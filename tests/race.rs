//! A data race, on purpose: `scripts/sanitize thread` has to see it, or it would see none.

use std::cell::UnsafeCell;
use std::sync::Arc;

use contextvar::{context_var, copy_context, thread};

struct Racy(UnsafeCell<u64>);

// SAFETY: it is not; that is what this is for.
unsafe impl Sync for Racy {}

#[context_var]
static RACY: Arc<Racy>;

/// Two threads write a value that their contexts share.
fn main() {
    RACY.set(Racy(UnsafeCell::new(0)).into());
    // SAFETY: as above.
    let write = || RACY.with(|racy| unsafe { *racy.0.get() += 1 });
    let other = thread::spawn(write);
    copy_context().run(write);
    other.join().unwrap();
}
