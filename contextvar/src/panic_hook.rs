use std::io::{self, Write};
use std::panic;

use crate::snapshot::ContextSnapshot;

/// Adds the variables that logs show to the message of every panic: a line on standard error, below what the
/// current hook writes. Nothing is added where no variable is shown.
///
/// Call it at the start of `main`, after other hooks are set: it calls the hook that is set at that moment
/// first. A second call would add a second line. A hook of your own can use [`ContextSnapshot::capture`] in the same
/// way: it runs in the context of the code that panics.
///
/// A `Display` that panics there aborts the process, as any panic in a hook does. The value whose `Display`
/// has caused the panic is left out.
///
/// # Panics
///
/// Panics if the thread is panicking, as [`std::panic::set_hook`] does.
///
/// ```
/// use contextvar::ContextVar;
///
/// static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
///
/// contextvar::set_panic_hook();
/// let result = std::panic::catch_unwind(|| REQUEST_ID.sync_scope(7, || panic!("disk full")));
/// // thread 'main' panicked at src/main.rs:6:77:
/// // disk full
/// // context of the panic at src/main.rs:6:77: request_id=7
/// assert!(result.is_err());
/// ```
#[track_caller]
pub fn set_panic_hook() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        hook(info);
        let snapshot = ContextSnapshot::capture();
        if !snapshot.is_empty() {
            // `eprintln!` would panic, and so abort, if standard error is closed.
            // The place tells to which message the line belongs, if several threads panic.
            let place = info.location().map(|place| format!(" of the panic at {place}")).unwrap_or_default();
            // One write, because other threads that panic write without a lock.
            let line = format!("context{place}: {snapshot}\n");
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }));
}
