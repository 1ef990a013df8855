//! `ContextFormat`: variables in the lines that tracing-subscriber writes.

use std::sync::{Arc, Mutex};
use std::{fmt, io};

use contextvar::tracing::ContextFormat;
use contextvar::{Context, context_var};
use tracing::{Subscriber, debug, error, info, info_span};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

mod fields;
mod json;
mod layers;
mod names;
mod spans;
mod types;
mod writer;

#[context_var(log, name = "request_id")]
static REQUEST_ID: u64;

#[context_var(log)]
static TENANT: String = "no tenant".to_owned();

/// A type with `Debug` but without `Display`.
#[derive(Debug)]
#[expect(dead_code, reason = "only formatted")]
struct Shape {
    sides: u8,
}

#[context_var(log)]
static SHAPE: Shape;

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

/// Returns the lines that `f` logs as text, without times.
fn logged(f: impl FnOnce()) -> String {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(output.clone());
    tracing::subscriber::with_default(subscriber.map_event_format(ContextFormat::new).finish(), f);
    output.take()
}

fn logged_as_json(f: impl FnOnce()) -> Vec<serde_json::Value> {
    let output = Output::default();
    let subscriber = tracing_subscriber::fmt().json().with_writer(output.clone());
    tracing::subscriber::with_default(subscriber.map_event_format(ContextFormat::new).finish(), f);
    output.take().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn acme() -> Context {
    Context::new().with_value(&REQUEST_ID, 7).with_value(&TENANT, "acme".to_owned())
}

/// Returns the words in sorted order: fields appear in the order in which their variables were first written.
fn sorted_words(line: &str) -> Vec<&str> {
    let mut words: Vec<_> = line.split_whitespace().collect();
    words.sort_unstable();
    words
}

fn never() -> u8 {
    unreachable!("the event is filtered out")
}

#[test]
fn text_lines() {
    let output = logged(|| {
        info!("outside");
        acme().run(|| {
            info!(n = 1, "inside");
            debug!("filtered out: {}", never());
            error!(TENANT = "the event's own", "a field keeps its name");
        });
    });
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines[0], " INFO it::logging: outside");
    assert_eq!(
        sorted_words(lines[1]),
        ["INFO", "TENANT=acme", "inside", "it::logging:", "n=1", "request_id=7"]
    );
    assert!(lines[1].starts_with(" INFO it::logging: inside n=1 "));
    let event = "ERROR it::logging: a field keeps its name TENANT=\"the event's own\" ";
    let variables = lines[2].strip_prefix(event).expect(lines[2]);
    assert_eq!(sorted_words(variables), ["TENANT_2=acme", "request_id=7"]);
    assert_eq!((lines.len(), output.ends_with('\n')), (3, true));
}

#[test]
fn line_breaks_at_the_end_follow_the_variables() {
    let output = logged(|| {
        REQUEST_ID.sync_scope(7, || info!("first\n\n"));
        info!("second\n");
    });
    assert_eq!(output, " INFO it::logging: first request_id=7\n\n\n INFO it::logging: second\n\n");
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
fn colors() {
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
fn compact_and_pretty_lines() {
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
    // Not in the line of the span, where it would look like one of the span's fields.
    let lines: Vec<_> = pretty.lines().collect();
    assert_eq!(lines[0], "   INFO it::logging: hello", "{pretty}");
    assert_eq!(lines[2], "    in it::logging::span with a: 1", "{pretty}");
    assert_eq!(lines[3..], ["    context request_id=7", ""], "{pretty}");
    // A span shows its own fields, and no variables.
    let full = run(&|| {
        Box::new(builder().with_span_events(FmtSpan::NEW).map_event_format(ContextFormat::new).finish())
    });
    let lines = [
        " INFO span{a=1}: it::logging: new request_id=7\n",
        " INFO span{a=1}: it::logging: hello request_id=7\n",
    ];
    assert_eq!(full, lines.concat());
}

/// Three values of one type, each of which logs while it is being formatted.
#[test]
fn values_that_log_while_being_formatted() {
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

    // Only the global subscriber receives events that are logged while it formats, so it needs a process of
    // its own.
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
    let name = "logging::values_that_log_while_being_formatted";
    let child = child.args([name, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let lines = String::from_utf8(child.stdout).unwrap();
    assert!(child.status.success(), "{lines}");
    let with = |text: &str| lines.lines().filter(|line| line.contains(text)).count();
    // One line shows all three values. Formatting each of them logs a line with the other two, whose lines
    // show no values.
    assert_eq!((with("hello a=1 b=2 c=3"), with("hello")), (1, 1), "{lines}");
    assert_eq!((with("showing 1 b=2 c=3"), with("showing 2 a=1 c=3"), with("showing 3 a=1 b=2")), (1, 1, 1));
    assert_eq!((with("showing"), with("=")), (9, 4), "{lines}");
}
