//! Values of other crates that are carried along: tracing's default subscriber, and the values where several
//! features meet.

use std::sync::{Arc, Mutex, Once};

use contextvar::carry;
use contextvar::hyper::ContextExecutor;
use contextvar::{InContext, StreamInContext, task, thread};
use futures::StreamExt;
use opentelemetry::Context as Otel;
use tracing::info_span;

use crate::support::{Log, OnDrop, on_both_flavors};

#[cfg(tokio_unstable)]
mod hooks;

/// Registers what these tests use. The process has one registry.
fn set_up() {
    static REGISTERED: Once = Once::new();

    REGISTERED.call_once(|| carry::register(carry::default_subscriber()));
}

/// Returns a subscriber, and the text that it writes.
fn subscriber() -> (impl tracing::Subscriber + Send + Sync, Arc<Mutex<Vec<u8>>>) {
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Output {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let output = Output::default();
    let lines = output.0.clone();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_target(false);
    (subscriber.with_writer(move || output.clone()).finish(), lines)
}

#[test]
fn the_default_subscriber_of_a_test_sees_its_tasks_and_threads() {
    set_up();
    on_both_flavors(|| async {
        let (subscriber, lines) = subscriber();
        let (task, call, thread) = tracing::subscriber::with_default(subscriber, || {
            let _entered = info_span!("test").entered();
            let log = |what: &'static str| tracing::info!("{what}");
            (
                task::spawn(async move {
                    tokio::task::yield_now().await;
                    log("task");
                }),
                task::spawn_blocking(move || log("call")),
                thread::spawn(move || log("thread")),
            )
        });
        let plain = tokio::spawn(async { tracing::info!("plain") });
        let later = task::spawn(async { tracing::info!("later") });
        tokio::try_join!(task, call, plain, later).unwrap();
        thread.join().unwrap();
        let lines = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        let mut lines: Vec<_> = lines.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, [" INFO test: call", " INFO test: task", " INFO test: thread"]);
    });
}

#[derive(Debug, PartialEq)]
struct Theirs(u64);

fn theirs() -> Option<u64> {
    Otel::map_current(|context| context.get::<Theirs>().map(|theirs| theirs.0))
}

/// The span and OpenTelemetry's context in what `task` does not cover: streams and hyper's executor.
#[test]
fn streams_and_the_executor_of_hyper_carry_the_span_and_the_context() {
    #[derive(Clone)]
    struct Spawn(Log);

    impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawn {
        fn execute(&self, future: F) {
            let log = self.0.clone();
            drop(tokio::spawn(async move {
                future.await;
                log.push("finished");
            }));
        }
    }

    fn seen() -> String {
        format!("{:?} {:?}", theirs(), tracing::Span::current().metadata().map(|span| span.name()))
    }

    set_up();
    on_both_flavors(|| async {
        let log = Log::default();
        let (subscriber, _lines) = subscriber();
        let stream = tracing::subscriber::with_default(subscriber, || {
            let _attached = Otel::new().with_value(Theirs(7)).attach();
            let _entered = info_span!("request").entered();
            let work = log.clone();
            let on_drop = OnDrop(move || work.push(format_args!("dropped in {}", seen())));
            let work = log.clone();
            let work = async move {
                tokio::task::yield_now().await;
                work.push(seen());
                let _dropped = on_drop;
            };
            hyper::rt::Executor::execute(&ContextExecutor::new(Spawn(log.clone())), work);
            futures::stream::repeat_with(seen).take(2).in_inherited_context()
        });
        let expected = "Some(7) Some(\"request\")";
        assert_eq!(stream.collect::<Vec<_>>().await, [expected; 2]);
        let mut lines = Vec::new();
        while lines.len() < 3 {
            tokio::task::yield_now().await;
            lines.extend(log.take());
        }
        assert_eq!(lines, [expected, &format!("dropped in {expected}"), "finished"]);
        assert_eq!((theirs(), seen()), (None, "None None".to_owned()));
    });
}

#[test]
fn a_span_inside_is_nearer_than_the_span_at_the_call() {
    use tracing::Instrument;

    let (subscriber, _lines) = subscriber();
    tracing::subscriber::with_default(subscriber, || {
        let name = || tracing::Span::current().metadata().map(|span| span.name());
        let outer = info_span!("outer").entered();
        let inside = async { name() }.instrument(info_span!("job")).in_inherited_context();
        let outside = async { name() }.in_inherited_context().instrument(info_span!("job"));
        drop(outer);
        let seen = futures::executor::block_on(async { (inside.await, outside.await) });
        assert_eq!(seen, (Some("job"), Some("outer")));
    });
}
