//! Variables whose defaults logs show. They would show in the logs of all other tests as well, so they need a
//! process of their own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use contextvar::{Context, context_var, for_each_log_field};

/// Lets one test run at a time. Each line shows the defaults of all tests, and leaves out those that another
/// thread is computing.
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());

    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the fields whose names start with `prefix`.
fn fields(prefix: &str) -> BTreeMap<&'static str, String> {
    let mut fields = BTreeMap::new();
    for_each_log_field(|name, value| {
        if name.starts_with(prefix) {
            assert_eq!(fields.insert(name, value.to_string()), None, "{name} occurs twice");
        }
    });
    fields
}

#[test]
fn a_default_is_shown_if_the_attribute_says_so() {
    static COMPUTED: AtomicU32 = AtomicU32::new(0);

    #[context_var(log, log_default, name = "default.tenant")]
    static TENANT: &str = {
        COMPUTED.fetch_add(1, Ordering::Relaxed);
        "public"
    };
    #[context_var(log, name = "default.region")]
    static REGION: &str = "eu";
    #[context_var(log = |plan| plan.0, log_default, name = "default.plan")]
    static PLAN: (u8, u8) = (7, 8);
    #[context_var(log, log_default, name = "default.absent")]
    static ABSENT: Option<u8> = None;

    let _lock = one_at_a_time();
    Context::new().run(|| {
        let expected = [("default.plan", "7"), ("default.tenant", "public")];
        assert_eq!(fields("default."), expected.map(|(name, value)| (name, value.to_owned())).into());
        assert!(!TENANT.is_set());
        let token = TENANT.set("acme");
        REGION.set("us");
        PLAN.set((1, 2));
        let expected = [("default.plan", "1"), ("default.region", "us"), ("default.tenant", "acme")];
        assert_eq!(fields("default."), expected.map(|(name, value)| (name, value.to_owned())).into());
        TENANT.reset(token);
        assert_eq!(fields("default.")["default.tenant"], "public");
    });
    assert_eq!((COMPUTED.load(Ordering::Relaxed), REGION.get(), ABSENT.get()), (1, "eu", None));
}

/// Reading the default calls code that logs, and so on.
#[test]
fn a_default_that_logs_while_it_is_computed() {
    #[context_var(log, log_default, name = "logs.default")]
    static LOGS: bool = fields("logs.").contains_key("logs.default");
    #[context_var(log, name = "logs.other")]
    static OTHER: u8;

    let _lock = one_at_a_time();
    OTHER.sync_scope(1, || {
        assert_eq!(
            fields("logs."),
            [("logs.default", "false".to_owned()), ("logs.other", "1".to_owned())].into()
        );
    });
}

#[cfg(feature = "opentelemetry")]
#[test]
fn a_default_is_an_attribute_of_spans_if_the_attribute_says_so() {
    use contextvar::opentelemetry::{ContextSpanProcessor, ContextTracer};
    use opentelemetry::KeyValue;
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    #[context_var(log, log_default, name = "span.tenant")]
    static TENANT: &str = "public";
    #[context_var(log, name = "span.region")]
    static REGION: &str = "eu";

    let _lock = one_at_a_time();
    let processor = ContextSpanProcessor::new().with_filter(|name| name.starts_with("span."));
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("tests");
    let noting = ContextTracer::new(tracer.clone());
    let shown = || {
        let spans = [tracer.start("now"), noting.span_builder("noted").start(&noting)];
        spans.map(|span| span.exported_data().unwrap().attributes)
    };
    let tenant = |tenant| [[KeyValue::new("span.tenant", tenant)], [KeyValue::new("span.tenant", tenant)]];
    assert_eq!(shown(), tenant("public"));
    TENANT.sync_scope("acme", || assert_eq!(shown(), tenant("acme")));
    assert_eq!(REGION.get(), "eu");
}

/// A span that is opened where no variable is set shows the defaults when it is closed.
#[cfg(feature = "tracing")]
#[test]
fn a_default_is_in_the_line_of_a_closed_span() {
    use std::io::{self, Write};
    use std::sync::Arc;

    use contextvar::tracing::{ContextFormat, SpanContextLayer};
    use tracing_subscriber::fmt::format::{FmtSpan, Format};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[context_var(log, log_default, name = "closed.tenant")]
    static TENANT: &str = "public";

    let _lock = one_at_a_time();
    let output = Output::default();
    let writer = output.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_span_events(FmtSpan::CLOSE)
        .event_format(ContextFormat::new(Format::default()))
        .with_writer(move || writer.clone());
    let subscriber = tracing_subscriber::registry().with(SpanContextLayer::new()).with(lines);
    tracing::subscriber::with_default(subscriber, || {
        let span = Context::new().run(|| tracing::info_span!("span"));
        TENANT.sync_scope("of another request", || drop(span));
    });
    let line = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    assert!(line.contains(" closed.tenant=public"), "{line}");
}

/// The default's function waits for a thread that logs.
#[test]
fn a_default_that_waits_for_a_thread_that_logs() {
    #[context_var(log, log_default, name = "waits.default")]
    static WAITS: bool = std::thread::spawn(|| fields("waits.").is_empty()).join().unwrap();

    let _lock = one_at_a_time();
    assert!(WAITS.get());
    assert_eq!(fields("waits."), [("waits.default", "true".to_owned())].into());
}

#[test]
fn a_default_that_panics_is_left_out() {
    static MAY_PANIC: AtomicU32 = AtomicU32::new(1);

    #[context_var(log, log_default, name = "panics.default")]
    static PANICS: u32 = match MAY_PANIC.load(Ordering::Relaxed) {
        0 => 7,
        _ => std::panic::resume_unwind(Box::new("on purpose")),
    };

    let _lock = one_at_a_time();
    assert_eq!(fields("panics."), [].into());
    MAY_PANIC.store(0, Ordering::Relaxed);
    assert_eq!(PANICS.get(), 7);
    assert_eq!(fields("panics."), [("panics.default", "7".to_owned())].into());
}

/// Code that logs while a panic unwinds can hold a lock that the default takes.
#[test]
fn a_thread_that_panics_computes_no_default() {
    struct Logs;

    impl Drop for Logs {
        fn drop(&mut self) {
            assert!(!fields("unwinds.").contains_key("unwinds.default"));
        }
    }

    static LOCK: Mutex<u32> = Mutex::new(7);

    #[context_var(log, log_default, name = "unwinds.default")]
    static UNWINDS: u32 = *LOCK.lock().unwrap_or_else(PoisonError::into_inner);

    let _lock = one_at_a_time();
    // The log line of another test could compute it, or wait for the lock.
    if std::env::args().any(|argument| argument == "--exact") {
        let result = std::panic::catch_unwind(|| {
            let _locked = LOCK.lock();
            let _logs = Logs;
            std::panic::resume_unwind(Box::new("on purpose"));
        });
        assert_eq!(result.unwrap_err().downcast_ref(), Some(&"on purpose"));
        assert_eq!(UNWINDS.get(), 7);
        return;
    }
    let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", "a_thread_that_panics_computes_no_default"]);
    assert!(alone.output().unwrap().status.success());
}

/// Where a context is lost, a default would pass for the request's value.
#[cfg(feature = "tokio")]
#[test]
fn a_task_without_a_context_shows_no_default() {
    use contextvar::task;

    #[context_var(log, log_default, name = "lost.tenant")]
    static TENANT: &str = "public";

    async fn shown() -> Vec<String> {
        fields("lost.").into_values().collect()
    }

    let _lock = one_at_a_time();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        assert_eq!(shown().await, ["public"]);
        assert_eq!(task::spawn(shown()).await.unwrap(), ["public"]);
        assert!(tokio::spawn(shown()).await.unwrap().is_empty());
        // A copy that was taken there.
        let copies = async { task::spawn(shown()).await.unwrap() };
        assert!(tokio::spawn(copies).await.unwrap().is_empty());
        let empty = Context::new().scope(shown());
        assert_eq!(tokio::spawn(empty).await.unwrap(), ["public"]);
    });
    assert_eq!(TENANT.get(), "public");
}
