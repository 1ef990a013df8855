//! Tasks, blocking calls and threads inherit the current span.

use contextvar::tracing::ContextFormat;
use contextvar::{InContext, inherit_context, task, thread, with_copied_context};
use tracing::{info, info_span};

use super::{Output, REQUEST_ID, TENANT};
use crate::support::on_both_flavors;

/// One test for everything that needs the global subscriber, which other threads' tasks log to.
#[test]
fn tasks_calls_and_threads_inherit_span_and_fields() {
    #[with_copied_context(REQUEST_ID = n, TENANT = format!("tenant-{n}"))]
    async fn handler(n: u64) {
        let span = info_span!(target: "followed", "request", n);
        let _entered = span.enter();
        let work = |what: &'static str| info!(target: "followed", "{what}");
        let task = task::spawn(async move {
            tokio::task::yield_now().await;
            work("task");
            task::spawn(async move { work("task in a task") }).await.unwrap();
        });
        let call = task::spawn_blocking(move || work("call"));
        let thread = thread::spawn(move || work("thread"));
        let detached = task::spawn_in_empty_context(async move { work("detached") });
        let wrapped = tokio::spawn(async move { work("wrapped") }.in_inherited_context());
        let ours_alone = tokio::spawn(inherit_context().scope(async move { work("ours alone") }));
        struct Dropped(tracing::Span);
        impl Drop for Dropped {
            fn drop(&mut self) {
                assert_eq!(tracing::Span::current().id(), self.0.id());
                info!(target: "followed", "dropped");
            }
        }
        let dropped = Dropped(span.clone());
        let aborted = task::spawn(async move {
            let _dropped = dropped;
            std::future::pending::<()>().await
        });
        drop(_entered);
        tokio::try_join!(task, call, detached, wrapped, ours_alone).unwrap();
        aborted.abort();
        aborted.await.unwrap_err();
        thread.join().unwrap();
    }

    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(output.clone());
    let subscriber = subscriber.with_target(false).with_env_filter("followed=info");
    subscriber.map_event_format(ContextFormat::new).init();
    on_both_flavors(|| async {
        futures::future::join_all((0..20).map(handler)).await;
    });
    let output = output.take();
    for n in 0..20 {
        for what in ["task", "task in a task", "call", "thread", "wrapped", "dropped"] {
            let start = format!(" INFO request{{n={n}}}: {what} ");
            let lines: Vec<_> = output.lines().filter(|line| line.starts_with(&start)).collect();
            // One line for each runtime flavor; "task" is also the start of "task in a task".
            assert_eq!(lines.len(), if what == "task" { 4 } else { 2 }, "{output}");
            for line in lines {
                assert!(line.contains(&format!(" request_id={n}")), "{line}");
                assert!(line.contains(&format!(" TENANT=tenant-{n}")), "{line}");
            }
        }
    }
    let detached: Vec<_> = output.lines().filter(|line| line.contains("detached")).collect();
    assert_eq!((detached.len(), detached[0]), (40, " INFO detached"));
    let ours_alone: Vec<_> = output.lines().filter(|line| line.contains("ours alone")).collect();
    assert_eq!(ours_alone.len(), 40);
    assert!(
        ours_alone.iter().all(|line| line.starts_with(" INFO ours alone ") && line.contains("request_id="))
    );
}

/// Work that was handed over where there was no span does not see that of the work around it.
#[test]
#[expect(clippy::async_yields_async, reason = "the task is awaited elsewhere")]
fn a_task_does_not_see_the_span_that_it_is_polled_in() {
    // Without tokio's own spans.
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::sink);
    let _subscriber = tracing::subscriber::set_default(subscriber.finish());
    let current = || tracing::Span::current().metadata().map(|span| span.name());
    let later = || async move {
        tokio::task::yield_now().await;
        current()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let task = runtime.block_on(local.run_until(async { task::spawn_local(later()) }));
    let wrapped = local.spawn_local(later().in_inherited_context());
    let plain = local.spawn_local(later());
    let panics =
        runtime.block_on(local.run_until(async { task::spawn_local(async { panic!("on purpose") }) }));
    let spanned = {
        let _entered = info_span!("own").entered();
        local.spawn_local(later().in_inherited_context())
    };

    let outer = info_span!("outer");
    outer.in_scope(|| {
        let inner = info_span!("inner").entered();
        let again = outer.enter();
        let finished = runtime.block_on(local.run_until(async {
            let panicked: Result<(), _> = panics.await;
            panicked.unwrap_err();
            tokio::try_join!(task, wrapped, plain, spanned)
        }));
        assert_eq!(finished.unwrap(), (None, None, Some("inner"), Some("own")));
        // The spans are as before, in the same order.
        assert_eq!(current(), Some("inner"));
        drop(again);
        assert_eq!(current(), Some("inner"));
        drop(inner);
        assert_eq!(current(), Some("outer"));
    });
    assert_eq!(current(), None);
}
