//! A deliberate data race. `scripts/sanitize thread` fails unless ThreadSanitizer reports it.

use std::cell::UnsafeCell;
use std::sync::Arc;

use contextvar::{context_var, copy_context, thread};

struct Racy(UnsafeCell<u64>);

// SAFETY: not sound. The race is the purpose of this program.
unsafe impl Sync for Racy {}

#[context_var]
static RACY: Arc<Racy>;

/// Writes a value from two threads whose contexts share it.
fn main() {
    RACY.set(Racy(UnsafeCell::new(0)).into());
    // SAFETY: as above.
    let write = || RACY.with(|racy| unsafe { *racy.0.get() += 1 });
    let other = thread::spawn(write);
    copy_context().run(write);
    other.join().unwrap();
}
