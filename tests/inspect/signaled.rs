//! A process that lists one context and prints the list on a signal, until its standard input is closed. It writes a
//! word to standard output when it is ready, when the context's value is shown, and when a thread panics.

use std::fmt;
use std::io::{self, Write};
use std::panic;
use std::sync::mpsc;

use contextvar::{ContextVar, inspect, thread};

/// Tells the parent when it is shown.
struct Tenant;

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tell("shown");
        f.write_str("acme")
    }
}

static TENANT: ContextVar<Tenant> = ContextVar::new("tenant").debug();

fn tell(word: &str) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{word}").unwrap();
    stdout.flush().unwrap();
}

fn main() {
    panic::set_hook(Box::new(|_| tell("panicked")));
    #[cfg(unix)]
    inspect::on_signal().unwrap();
    TENANT.set(Tenant);
    let (stop, stopped) = mpsc::channel::<()>();
    let worker = thread::spawn(move || stopped.recv());
    tell("ready");
    // Until the parent closes it.
    io::stdin().lines().for_each(drop);
    drop(stop);
    worker.join().unwrap().unwrap_err();
}
