//! Threads that are not tokio's. Their reads are reported if the program asks for it.

use std::sync::mpsc;

use contextvar::report::Cause;
use contextvar::{Context, inherit_context, thread};

#[test]
fn a_plain_thread() {
    user!("a_plain_thread");
    ada().run(|| {
        assert_eq!(std::thread::spawn(user_now).join().unwrap(), "nobody");
        assert_eq!(thread::spawn(user_now).join().unwrap(), "ada");
    });
    assert_eq!(reported(), [(Cause::Thread, 1)]);
}

#[test]
fn rayon() {
    user!("rayon");
    fn on_rayon(f: impl FnOnce() -> &'static str + Send + 'static) -> &'static str {
        let (sender, user) = mpsc::channel();
        rayon::spawn(move || sender.send(f()).unwrap());
        user.recv().unwrap()
    }

    ada().run(|| {
        assert_eq!(on_rayon(user_now), "nobody");
        assert_eq!(on_rayon(inherit_context().bind(user_now)), "ada");
    });
    assert_eq!(reported(), [(Cause::Thread, 1)]);
}

/// A logger that formats its records on a thread of its own.
#[test]
fn a_logger_with_a_thread() {
    user!("a_logger_with_a_thread");
    let (log, records) = mpsc::channel::<(&str, Context)>();
    let logger = std::thread::spawn(move || {
        let format = |(text, mut context): (&str, Context)| {
            [format!("{text} {}", user_now()), context.run(|| format!("{text} {}", user_now()))]
        };
        records.iter().map(format).collect::<Vec<_>>()
    });
    ada().run(|| log.send(("stored", inherit_context())).unwrap());
    drop(log);
    assert_eq!(logger.join().unwrap(), [["stored nobody", "stored ada"]]);
    assert_eq!(reported(), [(Cause::Thread, 1)]);
}
