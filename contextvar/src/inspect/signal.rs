//! Prints the list to standard error on a signal.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::thread;

use signal_hook::consts::{SIGQUIT, SIGUSR1};
use signal_hook::iterator::Signals;

/// Prints a [snapshot](super::snapshot) to standard error each time the process gets SIGUSR1 (`kill -USR1`) or
/// SIGQUIT (Ctrl+\\ in a terminal). Turns the list on, like [`enable`](super::enable). A second call installs no
/// second handler.
///
/// The two signals no longer end the process. Handlers that tokio or signal-hook installed for them still run. A
/// thread waits for the signals, so that they work while a runtime hangs; except if a value's `Debug` waits for a lock
/// that the hung code holds.
///
/// # Errors
///
/// Returns an error if the system can't install a handler or start a thread. The list stays as it was.
///
/// # Examples
///
/// ```
/// fn main() -> std::io::Result<()> {
///     contextvar::inspect::on_signal()
/// }
/// ```
pub fn on_signal() -> io::Result<()> {
    static IS_INSTALLED: Mutex<bool> = Mutex::new(false);

    let mut is_installed = IS_INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*is_installed {
        let mut signals = Signals::new([SIGUSR1, SIGQUIT])?;
        thread::Builder::new().name("contextvar-signal".to_owned()).spawn(move || {
            for _ in signals.forever() {
                // In one piece, because each write is a system call under the lock that all logs wait for.
                let text = format!("contextvar: {}\n", super::snapshot());
                // An error means that nobody reads it now. `eprintln!` would panic, and end this thread.
                let _ = io::stderr().write_all(text.as_bytes());
            }
        })?;
        *is_installed = true;
    }
    super::enable();
    Ok(())
}
