//! Variables in logs, and spans that follow into tasks.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use contextvar::tracing::ContextFormat;
use contextvar::{
    Context, ContextVar, InContext, context_var, for_each_log_field, task, thread, with_copied_context,
};
use tracing::{Subscriber, debug, error, info, info_span};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::on_both_flavours;

#[context_var(log, name = "request_id")]
static REQUEST_ID: u64;

#[context_var(log)]
static TENANT: String = "no tenant".to_owned();

/// Has a Debug only.
#[derive(Debug)]
#[expect(dead_code, reason = "to be shown")]
struct Shape {
    sides: u8,
}

#[context_var(log)]
static SHAPE: Shape;

#[context_var]
static UNLOGGED: u64;

static BY_HAND: ContextVar<&str> = ContextVar::new("by_hand").log();
static SECRET: ContextVar<&str> = ContextVar::new("password").log().secret();

fn fields() -> String {
    let mut fields = Vec::new();
    for_each_log_field(|name, value| fields.push(format!("{name}={value}")));
    fields.sort();
    fields.join(" ")
}

#[test]
fn the_fields_are_those_that_are_marked_and_set() {
    Context::new().run(|| {
        assert_eq!(fields(), "");
        REQUEST_ID.set(7);
        UNLOGGED.set(1);
        SECRET.set("sesame");
        assert_eq!(fields(), "request_id=7");
        BY_HAND.set("written");
        SHAPE.set(Shape { sides: 3 });
        TENANT.set("acme".to_owned());
        assert_eq!(fields(), "SHAPE=Shape { sides: 3 } TENANT=acme by_hand=written request_id=7");
        let token = REQUEST_ID.set(8);
        REQUEST_ID.reset(token);
        Context::new().run(|| assert_eq!(fields(), ""));
        assert!(fields().ends_with("request_id=7"));
    });
    on_both_flavours(|| async {
        TENANT.set("acme".to_owned());
        tokio::spawn(async { assert_eq!(fields(), "") }).await.unwrap();
        task::spawn(async { assert_eq!(fields(), "TENANT=acme") }).await.unwrap();
    });
}

#[test]
fn what_is_being_shown_may_change_everything() {
    struct Shows;

    impl fmt::Display for Shows {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            SHOWN.set(Shows);
            TENANT.set("another".to_owned());
            assert_eq!(fields_but("SHOWN"), "TENANT=another");
            f.write_str("shown")
        }
    }

    #[context_var(log)]
    static SHOWN: Shows;

    fn fields_but(left_out: &str) -> String {
        let mut fields = Vec::new();
        for_each_log_field(|name, value| {
            if name != left_out {
                fields.push(format!("{name}={value}"));
            }
        });
        fields.join(" ")
    }

    Context::new().run(|| {
        SHOWN.set(Shows);
        TENANT.set("acme".to_owned());
        let mut seen = Vec::new();
        for_each_log_field(|name, value| seen.push(format!("{name}={value}")));
        seen.sort();
        assert_eq!(seen, ["SHOWN=shown", "TENANT=acme"]);
        assert_eq!(TENANT.get(), "another");
    });
}

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Output;

    fn make_writer(&'a self) -> Output {
        self.clone()
    }
}

/// What `f` logs as text, without times.
fn logged(f: impl FnOnce()) -> String {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(output.clone());
    tracing::subscriber::with_default(subscriber.map_event_format(ContextFormat::new).finish(), f);
    output.take()
}

fn acme() -> Context {
    Context::new().with_value(&REQUEST_ID, 7).with_value(&TENANT, "acme".to_owned())
}

/// The variables may have been first written in any order.
fn sorted_words(line: &str) -> Vec<&str> {
    let mut words: Vec<_> = line.split_whitespace().collect();
    words.sort_unstable();
    words
}

fn never() -> u8 {
    unreachable!("it is filtered out")
}

#[test]
fn text() {
    let output = logged(|| {
        info!("outside");
        acme().run(|| {
            info!(n = 1, "inside");
            debug!("filtered out: {}", never());
            error!(TENANT = "the event's own", "a field goes before a variable");
        });
    });
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[0], " INFO it::logging: outside");
    assert_eq!(
        sorted_words(lines[1]),
        ["INFO", "TENANT=acme", "inside", "it::logging:", "n=1", "request_id=7"]
    );
    assert!(lines[1].starts_with(" INFO it::logging: inside n=1 "));
    assert_eq!(
        lines[2],
        "ERROR it::logging: a field goes before a variable TENANT=\"the event's own\" request_id=7"
    );
    assert_eq!((lines.len(), output.ends_with('\n')), (3, true));
}

#[test]
fn a_value_cannot_forge_a_line_or_a_field() {
    for (value, shown) in
        [("", r#""""#), ("a role=admin", r#""a role=admin""#), ("a=b", r#""a=b""#), ("größe'", "größe'")]
    {
        let output = logged(|| TENANT.sync_scope(value.to_owned(), || info!("hello")));
        assert_eq!(output, format!(" INFO it::logging: hello TENANT={shown}\n"));
    }
    let evil = "acme\nERROR it::logging: forged \x1b[31m\"\\";
    let output = logged(|| TENANT.sync_scope(evil.to_owned(), || info!("hello")));
    let line = " INFO it::logging: hello TENANT=\"acme\\nERROR it::logging: forged \\u{1b}[31m\\\"\\\\\"\n";
    assert_eq!(output, line);
    let json = logged_as_json(|| TENANT.sync_scope(evil.to_owned(), || info!("hello")));
    assert_eq!(json[0]["fields"]["TENANT"], evil);
    let json = logged_as_json(|| TENANT.sync_scope("größe 🦀".to_owned(), || info!("hello")));
    assert_eq!(json[0]["fields"]["TENANT"], "größe 🦀");
}

#[test]
fn colours() {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(true).with_writer(output.clone());
    let subscriber = subscriber.map_event_format(ContextFormat::new).finish();
    tracing::subscriber::with_default(subscriber, || REQUEST_ID.sync_scope(7, || info!("hello")));
    assert_eq!(
        output.take(),
        "\x1b[32m INFO\x1b[0m \x1b[2mit::logging\x1b[0m\x1b[2m:\x1b[0m hello \
         \x1b[3mrequest_id\x1b[0m\x1b[2m=\x1b[0m7\n"
    );
}

#[test]
fn other_formats() {
    let output = Output::default();
    let builder = || tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(output.clone());
    let run = |subscriber: &dyn Fn() -> Box<dyn Subscriber + Send + Sync>| {
        let log = || info_span!("span", a = 1).in_scope(|| info!("hello"));
        tracing::subscriber::with_default(subscriber(), || REQUEST_ID.sync_scope(7, log));
        output.take()
    };
    let compact = run(&|| Box::new(builder().compact().map_event_format(ContextFormat::new).finish()));
    assert_eq!(compact, " INFO span: it::logging: hello a=1 request_id=7\n");
    let pretty = run(&|| Box::new(builder().pretty().map_event_format(ContextFormat::new).finish()));
    assert!(pretty.contains("hello") && pretty.trim_end().ends_with(" request_id=7"), "{pretty}");
    // Spans have their own fields, and no others.
    let full = run(&|| {
        Box::new(builder().with_span_events(FmtSpan::NEW).map_event_format(ContextFormat::new).finish())
    });
    let lines = [
        " INFO span{a=1}: it::logging: new request_id=7\n",
        " INFO span{a=1}: it::logging: hello request_id=7\n",
    ];
    assert_eq!(full, lines.concat());
}

/// Three values of one type, each of which logs when it is shown.
#[test]
fn values_that_log_when_they_are_shown() {
    struct Logs(u8);

    impl fmt::Display for Logs {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            info!("showing {}", self.0);
            write!(f, "{}", self.0)
        }
    }

    #[context_var(log, name = "a")]
    static A: Logs;
    #[context_var(log, name = "b")]
    static B: Logs;
    #[context_var(log, name = "c")]
    static C: Logs;

    // Only the global subscriber sees what is logged while it formats. It is for a process of its own.
    const CHILD: &str = "CONTEXTVAR_TEST_LOGS_IN_DISPLAY";
    if std::env::var_os(CHILD).is_some() {
        let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false);
        subscriber.map_event_format(ContextFormat::new).init();
        A.set(Logs(1));
        B.set(Logs(2));
        C.set(Logs(3));
        info!("hello");
        return;
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let name = "logging::values_that_log_when_they_are_shown";
    let child = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let lines = String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success(), "{lines}");
    let with = |text: &str| lines.lines().filter(|line| line.contains(text)).count();
    // One line shows all. A line of each of its values shows the two others, whose own lines show none.
    assert_eq!((with("hello a=1 b=2 c=3"), with("hello")), (1, 1), "{lines}");
    assert_eq!((with("showing 1 b=2 c=3"), with("showing 2 a=1 c=3"), with("showing 3 a=1 b=2")), (1, 1, 1));
    assert_eq!((with("showing"), with("=")), (9, 4), "{lines}");
}

/// A panic while a value is shown does not leave values out for good.
#[test]
fn a_value_that_panics_when_it_is_shown() {
    struct Panics;

    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            std::panic::resume_unwind(Box::new("on purpose"))
        }
    }

    #[context_var(log)]
    static PANICS: Panics;

    Context::new().run(|| {
        PANICS.set(Panics);
        assert!(std::panic::catch_unwind(fields).is_err());
        assert!(std::panic::catch_unwind(fields).is_err());
    });
    Context::new().run(|| {
        REQUEST_ID.set(7);
        assert_eq!(fields(), "request_id=7");
    });
}

fn logged_as_json(f: impl FnOnce()) -> Vec<serde_json::Value> {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(output.clone());
    tracing::subscriber::with_default(subscriber.map_event_format(ContextFormat::new).finish(), f);
    output.take().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn json() {
    let lines = logged_as_json(|| {
        acme().run(|| {
            info!(n = 1, "\"fields\":{{ is not where they are");
            SHAPE.set(Shape { sides: 4 });
            info_span!("fields", a = 1).in_scope(|| error!(request_id = 8));
            info!(empty = tracing::field::Empty);
        });
        info!("outside");
        info!(empty = tracing::field::Empty);
    });
    assert_eq!(
        lines[0]["fields"],
        serde_json::json!({
            "message": "\"fields\":{ is not where they are", "n": 1, "request_id": "7", "TENANT": "acme"
        })
    );
    assert_eq!((&lines[0]["level"], &lines[0]["target"]), (&"INFO".into(), &"it::logging".into()));
    assert_eq!(
        lines[1]["fields"],
        serde_json::json!({"request_id": 8, "TENANT": "acme", "SHAPE": "Shape { sides: 4 }"})
    );
    assert_eq!(lines[2]["fields"].as_object().unwrap().len(), 3);
    assert_eq!(lines[3]["fields"], serde_json::json!({"message": "outside"}));
    assert_eq!(lines[4]["fields"], serde_json::json!({}));
}

#[test]
fn text_that_looks_like_json() {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_level(false).with_target(false);
    let subscriber = subscriber.without_time().with_writer(output.clone());
    let subscriber = subscriber.map_event_format(ContextFormat::new).finish();
    tracing::subscriber::with_default(subscriber, || REQUEST_ID.sync_scope(7, || info!("{{\"a\":1}}")));
    assert_eq!(output.take(), "{\"a\":1} request_id=7\n");
}

#[test]
fn json_that_is_flattened() {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(output.clone());
    let subscriber = subscriber.map_event_format(ContextFormat::new).finish();
    tracing::subscriber::with_default(subscriber, || acme().run(|| info!(n = 1, "hello")));
    let line: serde_json::Value = serde_json::from_str(&output.take()).unwrap();
    assert_eq!((&line["request_id"], &line["message"]), (&"7".into(), &"hello".into()));
}

/// A subscriber for tasks on other threads must be the process's; so all that needs one is one test.
#[test]
fn in_tasks_calls_and_threads_with_their_spans() {
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
        let ours_alone = tokio::spawn(async move { work("ours alone") }.in_inherited_context());
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
        tokio::try_join!(task, call, detached, ours_alone).unwrap();
        aborted.abort();
        aborted.await.unwrap_err();
        thread.join().unwrap();
    }

    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(output.clone());
    let subscriber = subscriber.with_target(false).with_env_filter("followed=info");
    subscriber.map_event_format(ContextFormat::new).init();
    on_both_flavours(|| async {
        futures::future::join_all((0..20).map(handler)).await;
    });
    let output = output.take();
    for n in 0..20 {
        for what in ["task", "task in a task", "call", "thread", "dropped"] {
            let start = format!(" INFO request{{n={n}}}: {what} ");
            let lines: Vec<_> = output.lines().filter(|line| line.starts_with(&start)).collect();
            // Of each flavour one, but for those whose text another one starts with.
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
