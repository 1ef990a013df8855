//! The page `guide::coming_from`: its tables have the same rows, and each expression in their last column is
//! in a test below. Each test is named for a row.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::request::Parts;
use axum::routing::get;
use contextvar::opentelemetry::{ContextLogProcessor, ContextSpanProcessor};
use contextvar::tower::ContextLayer;
use contextvar::tracing::ContextFormat;
use contextvar::{
    Context, ContextSnapshot, InContext, baggage, carry, context_var, copy_context, inherit_context, task,
    thread, with_copied_context, with_empty_context,
};
use http_body_util::BodyExt;
use opentelemetry::Context as Otel;
use opentelemetry::logs::{AnyValue, Logger, LoggerProvider};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::logs::{InMemoryLogExporter, SdkLoggerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::join;
use tower::ServiceExt;
use tracing::{info, warn};

use crate::support::on_both_flavors;

#[context_var]
static USER: &str;

#[context_var]
static LOCALE: &str = "en";

async fn f() -> &'static str {
    let before = USER.get_or("nobody");
    USER.set("f");
    tokio::task::yield_now().await;
    before
}

async fn g() -> &'static str {
    let before = USER.get_or("nobody");
    USER.set("g");
    tokio::task::yield_now().await;
    before
}

/// Returns what code sees that is not async.
fn user() -> &'static str {
    USER.get_or("nobody")
}

#[with_empty_context]
#[test]
fn declare_a_variable() {
    #[context_var]
    static USER: &str;

    #[context_var]
    static LOCALE: &str = "en";

    assert!(!USER.is_set());
    assert_eq!((USER.name(), LOCALE.get()), ("USER", "en"));
}

#[with_empty_context]
#[test]
fn read_it() {
    assert_eq!(USER.get_or("nobody"), "nobody");
    assert!(USER.try_get().is_err());
    assert_eq!(LOCALE.get_or("de"), "de", "as in PEP 567, the argument comes before the default");
    USER.set("ada");
    assert_eq!((USER.get(), USER.get_or("nobody"), USER.try_get()), ("ada", "ada", Ok("ada")));
    assert_eq!(USER.with(|user| user.len()), 3);
}

#[with_empty_context]
#[test]
fn set_it_and_undo_that() {
    let token = USER.set("ada");
    assert_eq!((USER.get(), token.old_value()), ("ada", None));
    USER.reset(token);
    assert!(!USER.is_set());
}

#[test]
fn set_it_for_a_block() {
    on_both_flavors(|| async {
        async fn f() -> &'static str {
            tokio::task::yield_now().await;
            user()
        }

        #[with_copied_context(USER = "ada")]
        async fn annotated() -> &'static str {
            f().await
        }

        async fn guarded() -> &'static str {
            let _reset = USER.set("ada").reset_on_drop();
            f().await
        }

        assert_eq!(USER.scope("ada", f()).await, "ada");
        assert_eq!(annotated().await, "ada");
        assert_eq!(guarded().await, "ada");
        let two = Context::new().with_value(&USER, "ada").with_value(&LOCALE, "fr");
        assert_eq!(two.scope(async { (USER.get(), LOCALE.get()) }).await, ("ada", "fr"));
        let ctx = copy_context().with_value(&USER, "ada");
        assert_eq!(f().in_context(ctx).await, "ada");
        assert!(!USER.is_set());
    });
    Context::new().run(|| {
        let f = user;
        assert_eq!(USER.sync_scope("ada", f), "ada");
        assert!(!USER.is_set());
    });
}

#[test]
fn an_awaited_call() {
    on_both_flavors(|| async {
        #[with_copied_context]
        async fn annotated() -> &'static str {
            f().await
        }

        USER.set("ada");
        assert_eq!(annotated().await, "ada");
        assert_eq!(f().in_copied_context().await, "ada");
        assert_eq!(USER.get(), "ada", "the changes stayed in copies");
        assert_eq!(f().await, "ada");
        assert_eq!(USER.get(), "f", "the caller sees the change");
    });
}

#[test]
fn concurrent_parts_of_a_task() {
    on_both_flavors(|| async {
        USER.set("ada");
        assert_eq!(join!(f().in_copied_context(), g().in_copied_context()), ("ada", "ada"));
        assert_eq!(USER.get(), "ada");
        assert_eq!(join!(f(), g()), ("ada", "f"), "one context for both");
        assert_eq!(USER.get(), "g");

        let mut set = tokio::task::JoinSet::new();
        set.spawn(f().in_inherited_context());
        assert_eq!((set.join_all().await, USER.get()), (vec!["g"], "g"));
    });
}

#[test]
fn a_new_task() {
    on_both_flavors(|| async {
        USER.set("ada");
        assert_eq!(task::spawn(f()).await.unwrap(), "ada");
        let ctx = copy_context().with_value(&USER, "grace");
        assert_eq!(tokio::spawn(ctx.scope(f())).await.unwrap(), "grace");
        assert_eq!(task::spawn_in_empty_context(f()).await.unwrap(), "nobody");
        assert_eq!(USER.get(), "ada");
        let plain = tokio::spawn(async { USER.try_set("f").map(drop).map_err(|error| error.into_value()) });
        assert_eq!(plain.await.unwrap(), Err("f"), "no context");
    });
}

#[test]
fn a_thread_or_a_blocking_call() {
    on_both_flavors(|| async {
        fn f() -> &'static str {
            let before = user();
            USER.set("f");
            before
        }

        USER.set("ada");
        assert_eq!(task::spawn_blocking(f).await.unwrap(), "ada");
        assert_eq!(thread::spawn(f).join().unwrap(), "ada");
        assert_eq!(std::thread::spawn(f).join().unwrap(), "nobody");
        assert_eq!(USER.get(), "ada");
    });
}

#[with_empty_context]
#[test]
fn a_stored_callback() {
    /// A value in OpenTelemetry's context.
    struct Stored(u8);

    fn f() -> (&'static str, Option<u8>) {
        (USER.get(), Otel::map_current(|cx| cx.get::<Stored>().map(|stored| stored.0)))
    }

    USER.set("ada");
    let attached = Otel::current_with_value(Stored(7)).attach();
    let bound = inherit_context().bind(f);
    let carried = carry::bind(f);
    drop(attached);
    USER.set("grace");
    assert_eq!(f(), ("grace", None));
    assert_eq!(bound(), ("ada", None));
    assert_eq!(carried(), ("ada", Some(7)));
}

#[test]
fn the_values_of_a_request() {
    fn user_of(request: &Parts) -> &'static str {
        if request.headers.contains_key("x-ada") { "ada" } else { "nobody" }
    }

    on_both_flavors(|| async {
        let app = Router::new().route("/", get(async || user()));
        let app = app.layer(ContextLayer::new().set(&USER, user_of));
        let request = Request::get("/").header("x-ada", "").body(Body::empty()).unwrap();
        let body = app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "ada");
    });
}

#[with_empty_context]
#[test]
fn values_in_log_lines() {
    #[context_var(log)]
    static USER: &str;

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
    let writer = output.clone();
    let lines = tracing_subscriber::fmt().map_event_format(ContextFormat::new);
    let lines = lines.with_writer(move || writer.clone());

    USER.set("ada");
    tracing::subscriber::with_default(lines.finish(), || info!("saved"));
    let line = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    assert!(line.contains("saved") && line.contains("ada"), "{line}");
    let snapshot = ContextSnapshot::capture().to_string();
    assert!(snapshot.ends_with("=ada"), "{snapshot}");

    let spans = SdkTracerProvider::builder().with_span_processor(ContextSpanProcessor::new()).build();
    let span = spans.tracer("shop").start("saved").exported_data().unwrap();
    assert!(span.attributes.iter().any(|attribute| attribute.value.as_str() == "ada"));

    let exporter = InMemoryLogExporter::default();
    let records = SdkLoggerProvider::builder().with_log_processor(ContextLogProcessor::new());
    let records = records.with_simple_exporter(exporter.clone()).build();
    let logger = records.logger("shop");
    logger.emit(logger.create_log_record());
    let records = exporter.get_emitted_logs().unwrap();
    assert!(records[0].record.attributes_iter().any(|(_, value)| *value == AnyValue::from("ada")));
}

#[test]
fn another_process() {
    #[context_var(baggage = "user")]
    static USER: String;

    on_both_flavors(|| async {
        USER.set("ada".to_owned());
        let mut headers = HashMap::new();
        baggage::inject(&mut headers);
        assert!(headers["baggage"].contains("user=ada"), "{headers:?}");
        assert_eq!(baggage::headers()["baggage"], headers["baggage"]);

        let app = Router::new().route("/", get(async || USER.get()));
        let app = app.layer(ContextLayer::new().extract_baggage(|error| warn!("{error}")));
        let request = Request::get("/").header("baggage", "user=grace").body(Body::empty()).unwrap();
        let body = app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "grace");
    });
}

#[test]
fn changes_back_to_the_parent() {
    on_both_flavors(|| async {
        USER.set("ada");
        let base = copy_context();
        let (before, ctx) = f().in_context(base.clone()).and_context().await;
        assert_eq!((before, USER.get(), ctx[&USER]), ("ada", "ada", "f"));
        ctx.apply_changes_to_current(&base);
        assert_eq!(USER.get(), "f");
    });
    on_both_flavors(|| async {
        fn f() {
            USER.set("f");
        }

        let base = copy_context();
        let ((), ctx) = task::spawn_blocking_returning_context(f).await.unwrap();
        assert!(!USER.is_set());
        ctx.apply_changes_to_current(&base);
        assert_eq!(USER.get(), "f");
    });
}

mod a_test {
    use super::*;

    #[with_empty_context]
    #[test]
    fn empty() {
        assert!(copy_context().is_empty());
    }

    #[with_empty_context(USER = "ada")]
    #[tokio::test]
    async fn with_a_value() {
        assert_eq!((USER.get(), copy_context().len()), ("ada", 1));
    }
}

/// The names of `contextvars` below the table of Python.
#[test]
fn other_names_of_python() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Context::new().run(|| {
        USER.set("ada");
        assert_eq!(runtime.block_on(f().in_copied_context()), "ada");
        assert_eq!(USER.get(), "ada");
        assert_eq!(runtime.block_on(f()), "ada");
        assert_eq!(USER.get(), "f", "a plain `block_on` runs the future in the context around it");

        let mut ctx = copy_context();
        let copy = ctx.clone();
        ctx.run(|| USER.set("grace"));
        assert_eq!((ctx[&USER], copy[&USER]), ("grace", "f"));
        assert_eq!(ctx.get(&LOCALE), None);
    });
}

/// The sections of the page, and the cells of their tables.
fn tables() -> Vec<(String, Vec<Vec<String>>)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contextvar/src/guide/coming_from.md");
    let page = fs::read_to_string(page).unwrap();
    let mut tables: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    let mut section = "";
    let mut in_table = false;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        if line.starts_with('|') {
            if !in_table {
                tables.push((section.to_owned(), Vec::new()));
            }
            // A bar inside a cell has a backslash.
            let line = line.trim_matches('|').replace("\\|", "\0");
            let cells = line.split('|').map(|cell| cell.trim().replace('\0', "|")).collect();
            tables.last_mut().unwrap().1.push(cells);
        }
        in_table = line.starts_with('|');
    }
    tables
}

#[test]
fn every_table_has_the_same_rows() {
    let tables = tables();
    let sections: Vec<&str> = tables.iter().map(|(section, _)| &**section).collect();
    assert_eq!(
        sections,
        [
            "Python",
            "`tokio::task_local!`",
            "`tracing` spans",
            "OpenTelemetry",
            "Java",
            ".NET `AsyncLocal`",
            "Node.js `AsyncLocalStorage`",
            "Go's `context`",
            "Kotlin",
        ]
    );
    let subjects =
        |table: &[Vec<String>]| -> Vec<String> { table[2..].iter().map(|row| row[0].clone()).collect() };
    let first = subjects(&tables[0].1);
    assert_eq!(first.len(), 14);
    for (section, table) in &tables {
        assert_eq!(subjects(table), first, "{section}");
        for row in table {
            assert_eq!(row.len(), table[0].len(), "{section}: {row:?}");
            assert!(row[1..].iter().all(|cell| !cell.is_empty()), "{section}: {row:?}");
        }
    }
}

#[test]
fn every_expression_in_the_last_column_is_in_a_test() {
    // Without what rustfmt adds where it breaks a line.
    let normalized =
        |text: &str| -> String { text.split_whitespace().collect::<String>().replace(",)", ")") };
    let tests = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("it/coming_from.rs")).unwrap();
    let tests = normalized(&tests);
    let mut expressions = HashSet::new();
    for (section, table) in tables() {
        assert_eq!(table[0].last().unwrap(), "here");
        for row in &table[2..] {
            let expressions_of_row: Vec<&str> = row.last().unwrap().split('`').skip(1).step_by(2).collect();
            assert!(!expressions_of_row.is_empty(), "{section}: {row:?}");
            for expression in expressions_of_row {
                assert!(tests.contains(&normalized(expression)), "{section}: no test has `{expression}`");
                expressions.insert(expression.to_owned());
            }
        }
    }
    assert!(expressions.len() >= 40, "{}", expressions.len());
}
