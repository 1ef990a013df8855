//! OpenTelemetry's current context in tasks, blocking calls and threads.

use contextvar::{InContext, context_var, task, thread};
use opentelemetry::Context as Otel;

use crate::support::{OnDrop, on_both_flavors};

#[context_var]
static ID: u64;

#[derive(Debug, PartialEq)]
struct Theirs(u64);

fn theirs() -> Option<u64> {
    Otel::map_current(|context| context.get::<Theirs>().map(|theirs| theirs.0))
}

#[test]
fn the_current_context_follows_into_tasks() {
    on_both_flavors(|| async {
        let (sender, reported) = std::sync::mpsc::channel();
        let (task, call, thread, aborted, without) = {
            let _attached = Otel::new().with_value(Theirs(7)).attach();
            let task = task::spawn(async {
                tokio::task::yield_now().await;
                let inner = task::spawn(async { theirs() }).await.unwrap();
                (theirs(), inner)
            });
            let call = task::spawn_blocking(theirs);
            let thread = thread::spawn(theirs);
            let report = OnDrop(move || sender.send(theirs()).unwrap());
            let aborted = task::spawn(async move {
                let _report = report;
                std::future::pending::<()>().await
            });
            let detached = task::spawn_in_empty_context(async { theirs() });
            let ours_alone = tokio::spawn(async { theirs() }.in_inherited_context());
            (task, call, thread, aborted, [detached, ours_alone])
        };
        assert_eq!(theirs(), None);
        assert_eq!(task.await.unwrap(), (Some(7), Some(7)));
        assert_eq!((call.await.unwrap(), thread.join().unwrap()), (Some(7), Some(7)));
        for without in without {
            assert_eq!(without.await.unwrap(), None);
        }
        aborted.abort();
        aborted.await.unwrap_err();
        assert_eq!(reported.recv().unwrap(), Some(7), "the context is current while the future is dropped");
        assert_eq!(theirs(), None);
    });
}

#[test]
fn a_thread_exit_does_not_touch_opentelemetry() {
    struct Spawns(std::sync::mpsc::Sender<bool>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let spawned = thread::spawn(|| ID.is_set()).join();
            self.0.send(spawned.is_ok_and(|is_set| !is_set)).unwrap();
        }
    }
    thread_local! {
        static SPAWNS: std::cell::RefCell<Option<Spawns>> = const { std::cell::RefCell::new(None) };
    }
    let (sender, reported) = std::sync::mpsc::channel();
    std::thread::spawn(|| {
        // Initialized first, so dropped last.
        SPAWNS.set(Some(Spawns(sender)));
        drop(Otel::current());
        thread::spawn(|| ()).join().unwrap();
    })
    .join()
    .unwrap();
    assert!(reported.recv().unwrap());
}
