//! `ContextWriter`: variables in lines that a layer has formatted.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use contextvar::tracing::{ContextFormat, ContextWriter, SpanContextLayer};
use contextvar::{Context, ContextVar, context_var};
use tracing::{Subscriber, info, info_span};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FmtSpan, Format};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;

use super::{Output, REQUEST_ID, acme, logged, logged_as_json};

/// Returns what a writer has written after `f` has used it where the request ID is 7.
fn written(f: impl FnOnce(&mut dyn Write)) -> String {
    let output = Output::default();
    REQUEST_ID.sync_scope(7, || f(&mut ContextWriter::new(output.clone()).make_writer()));
    output.take()
}

/// A value can log, which makes a writer on the same thread.
#[test]
fn a_writer_that_is_a_lock_is_made_after_values_are_formatted() {
    #[derive(Clone, Default)]
    struct Lock(Arc<Mutex<Vec<u8>>>);

    struct Locked<'a>(MutexGuard<'a, Vec<u8>>);

    impl Write for Locked<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lock {
        type Writer = Locked<'a>;

        fn make_writer(&'a self) -> Locked<'a> {
            Locked(self.0.lock().unwrap())
        }
    }

    impl fmt::Display for Lock {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(if self.0.try_lock().is_ok() { "free" } else { "locked" })
        }
    }

    #[context_var(log, name = "lock")]
    static LOCK: Lock;

    let lock = Lock::default();
    let subscriber =
        || tracing_subscriber::fmt().with_ansi(false).with_writer(ContextWriter::new(lock.clone()));
    LOCK.sync_scope(lock.clone(), || {
        tracing::subscriber::with_default(subscriber().without_time().finish(), || info!("hello"));
        tracing::subscriber::with_default(subscriber().json().finish(), || info!("hello"));
        ContextWriter::new(lock.clone()).make_writer().write_all(b"raw\n").unwrap();
    });
    let output = String::from_utf8(lock.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = output.lines().collect();
    assert_eq!((lines[0], lines[2]), (" INFO it::logging::writer: hello lock=free", "raw lock=free"));
    assert!(lines[1].ends_with(",\"lock\":\"free\"}"), "{output}");
}

#[test]
fn a_field_keeps_its_name_in_a_line_of_a_writer() {
    static MESSAGE: ContextVar<&str> = ContextVar::new("message").log();

    let output = Output::default();
    let subscriber =
        || tracing_subscriber::fmt().with_ansi(false).with_writer(ContextWriter::new(output.clone()));
    tracing::subscriber::with_default(subscriber().without_time().finish(), || {
        REQUEST_ID.sync_scope(7, || info!(request_id = 1, "hello"));
        MESSAGE.sync_scope("hi", || info!("hello"));
    });
    let lines = [
        " INFO it::logging::writer: hello request_id=1 request_id_2=7\n",
        " INFO it::logging::writer: hello message_2=hi\n",
    ];
    assert_eq!(output.take(), lines.concat());
    tracing::subscriber::with_default(subscriber().json().flatten_event(true).finish(), || {
        REQUEST_ID.sync_scope(7, || info!(request_id = 1, "hello"));
    });
    let line: serde_json::Value = serde_json::from_str(&output.take()).unwrap();
    assert_eq!((&line["request_id"], &line["request_id_2"]), (&1.into(), &7.into()));
}

#[test]
fn text_of_several_lines_has_the_variables_below() {
    let output = Output::default();
    let log = || REQUEST_ID.sync_scope(7, || info_span!("span", a = 1).in_scope(|| info!("hello")));
    let check = |output: &str| {
        let lines: Vec<_> = output.lines().collect();
        assert_eq!(lines[2], "    in it::logging::writer::span with a: 1", "{output}");
        assert_eq!(lines[3..], ["    context request_id=7", ""], "{output}");
    };
    let builder = || tracing_subscriber::fmt().with_ansi(false);
    let subscriber = builder().pretty().with_writer(ContextWriter::new(output.clone())).finish();
    tracing::subscriber::with_default(subscriber, log);
    check(&output.take());
    let format = Format::default().pretty().with_ansi(false);
    let subscriber = builder()
        .fmt_fields(tracing_subscriber::fmt::format::PrettyFields::new())
        .event_format(ContextFormat::around(format))
        .with_writer(output.clone());
    tracing::subscriber::with_default(subscriber.finish(), log);
    check(&output.take());
}

/// The values of the code that drops a span can be those of another request.
#[test]
fn a_line_about_a_span_shows_variables_only_in_the_layer() {
    static BUSY: ContextVar<u64> = ContextVar::new("time.busy").log();

    let output = Output::default();
    fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(output: &Output) -> impl Layer<S> {
        tracing_subscriber::fmt::layer()
            .without_time()
            .with_ansi(false)
            .with_span_events(FmtSpan::FULL)
            .with_writer(ContextWriter::new(output.clone()))
    }
    let run = || {
        let span = BUSY.sync_scope(7, || info_span!("span"));
        REQUEST_ID.sync_scope(8, || {
            span.in_scope(|| info!("hello"));
            drop(span);
        });
        let output = output.take();
        let shown: Vec<_> =
            output.lines().map(|line| line.split_once("writer: ").unwrap().1.to_owned()).collect();
        shown
    };
    let subscriber = tracing_subscriber::registry().with(layer(&output));
    let shown = tracing::subscriber::with_default(subscriber, run);
    assert_eq!(shown, ["new", "enter", "hello request_id=8", "exit", "close"]);
    let subscriber = tracing_subscriber::registry().with(SpanContextLayer::around(layer(&output)));
    let shown = tracing::subscriber::with_default(subscriber, run);
    let expected = [
        "new time.busy_2=7",
        "enter request_id=8",
        "hello request_id=8",
        "exit request_id=8",
        "close time.busy_2=7",
    ];
    assert_eq!(shown, expected);
    // The layer that knows the contexts is not that of these lines.
    let subscriber = tracing_subscriber::registry().with(SpanContextLayer::new()).with(layer(&output));
    let shown = tracing::subscriber::with_default(subscriber, run);
    assert_eq!(shown, ["new", "enter", "hello request_id=8", "exit", "close"]);
}

#[test]
fn each_line_of_a_write_has_the_variables() {
    let lines = |text: &str| written(|writer| writer.write_all(text.as_bytes()).unwrap());
    assert_eq!(
        lines("{\"a\":1}\n{}\n\n{\"request_id\":2}\n"),
        "{\"a\":1,\"request_id\":7}\n{\"request_id\":7}\n\n{\"request_id\":2,\"request_id_2\":7}\n"
    );
    // An object of several lines.
    assert_eq!(lines("{\n \"a\": {}\n}\n"), "{\n \"a\": {}\n,\"request_id\":7}\n");
    // Text that has an object in it.
    assert_eq!(lines("body:\n{\"a\":1}\n"), "body:\n{\"a\":1}\n    context request_id=7\n");
}

#[test]
fn a_line_in_several_writes_has_the_variables_once() {
    let pieces =
        |pieces: &[&[u8]]| written(|writer| pieces.iter().for_each(|piece| writer.write_all(piece).unwrap()));
    assert_eq!(pieces(&[b"{\"a\"", b":1", b"}", b"\n"]), "{\"a\":1,\"request_id\":7}\n");
    assert_eq!(pieces(&[b"hello", b" world\n"]), "hello world request_id=7\n");
    assert_eq!(
        pieces(&[b"{\"a\":1}\n{\"b\"", b":2}\n{\"c\":", b"3}\n"]),
        "{\"a\":1,\"request_id\":7}\n{\"b\":2,\"request_id\":7}\n{\"c\":3,\"request_id\":7}\n"
    );
    // A character in two writes.
    let (start, end) = "größe\n".as_bytes().split_at(3);
    assert_eq!(pieces(&[start, end]), "größe request_id=7\n");
    // A line that has no line break when the writer is dropped.
    assert_eq!(pieces(&[b"{\"a\":", b"1}"]), "{\"a\":1,\"request_id\":7}");
}

#[test]
fn a_writer_that_is_flushed_has_written_all() {
    let output = Output::default();
    REQUEST_ID.sync_scope(7, || {
        let writer = ContextWriter::new(output.clone());
        let mut writer = writer.make_writer();
        writer.write_all(b"{\"a\":1}").unwrap();
        assert_eq!(output.take(), "");
        writer.flush().unwrap();
        assert_eq!(output.take(), "{\"a\":1,\"request_id\":7}");
        drop(writer);
        assert_eq!(output.take(), "");
    });
}

#[test]
fn an_error_of_the_writer_is_passed_on() {
    struct Fails;

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::other("full"))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    acme().run(|| {
        let writer = ContextWriter::new(|| Fails);
        let mut writer = writer.make_writer();
        assert_eq!(writer.write(b"hello\n").unwrap_err().to_string(), "full");
        assert_eq!(writer.write(b"hello").unwrap(), 5);
        assert_eq!(writer.flush().unwrap_err().to_string(), "full");
    });
}

#[test]
fn a_display_that_fails_ends_its_text() {
    struct Fails;

    impl fmt::Display for Fails {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }

    #[context_var(log, name = "fails")]
    static FAILS: Fails;

    let mut context = Context::new().with_value(&FAILS, Fails);
    context.run(|| {
        assert_eq!(logged(|| info!("hello")), " INFO it::logging::writer: hello fails=half\n");
        assert_eq!(logged_as_json(|| info!("hello"))[0]["fields"]["fails"], "half");
    });
    let output = Output::default();
    context.run(|| {
        ContextWriter::new(output.clone()).make_writer().write_all(b"hello\n{}\n").unwrap();
        ContextWriter::new(output.clone()).make_writer().write_all(b"{}\n").unwrap();
    });
    assert_eq!(output.take(), "hello\n{}\n    context fails=half\n{\"fails\":\"half\"}\n");
}
