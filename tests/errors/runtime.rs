//! Errors, panics and reports at run time: the page has each text, and panics and reports have its address.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::panic::{self, AssertUnwindSafe};
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};
use std::thread;

use contextvar::opentelemetry::MetricAttributes;
use contextvar::report::{self, Cause, Report};
use contextvar::tower::ContextLayer;
use contextvar::{
    Context, LookupErrorKind, ResetErrorKind, WriteErrorKind, baggage, context_var, copy_context,
    inherit_context, task,
};
use futures::{FutureExt, Sink, Stream, StreamExt};
use http::{HeaderName, Request, Response};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tower::{Layer, Service, service_fn};

use crate::page::Page;

#[context_var]
static USER: String;
#[context_var]
static ADMIN: String;
#[context_var(secret)]
static PASSWORD: String;
#[context_var(baggage = "number")]
static NUMBER: u64;

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn panic_text<R>(f: impl FnOnce() -> R) -> String {
    let panic = panic::catch_unwind(AssertUnwindSafe(|| drop(f()))).unwrap_err();
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}

/// Asserts that the page has the text of the error, and that the panic adds the address of the same entry.
fn assert_error(page: &Page, error: &dyn Error, panic: String) {
    let text = error.to_string();
    page.assert_has(&text);
    assert!(panic.starts_with(&format!("{text}\nsee ")), "{panic}");
    page.assert_linked(&panic);
}

/// Reads and writes where no context can be written, for the reason `kind`.
fn assert_refused(page: &Page, kind: WriteErrorKind) {
    let apply = || Context::new().try_apply_changes_to_current(&Context::new());

    let read = USER.try_get().unwrap_err();
    assert_eq!(format!("{:?}", read.kind()), format!("{kind:?}"));
    assert_error(page, &read, panic_text(|| USER.get()));
    assert_error(page, &read, panic_text(|| USER.with(String::len)));

    let write = USER.try_set(String::new()).unwrap_err();
    assert_eq!(write.kind(), kind);
    assert_error(page, &write, panic_text(|| USER.set(String::new())));
    assert_error(page, &write, panic_text(|| USER.sync_scope(String::new(), || ())));

    let error = apply().unwrap_err();
    assert_eq!(error.kind(), kind);
    assert_error(page, &error, panic_text(|| Context::new().apply_changes_to_current(&Context::new())));
}

#[test]
fn a_variable_that_is_not_set() {
    let page = Page::read();
    let error = USER.try_get().unwrap_err();
    assert_eq!(error.kind(), LookupErrorKind::NotSet);
    assert_error(&page, &error, panic_text(|| USER.get()));
    page.assert_linked(&panic_text(|| Context::new()[&USER].len()));
}

#[test]
fn a_task_without_a_context() {
    let page = Page::read();
    run(async {
        tokio::spawn(async move { assert_refused(&page, WriteErrorKind::NoContext) }).await.unwrap();
    });
}

#[test]
fn a_copy_without_a_context() {
    let page = Page::read();
    let in_copy = move || {
        let error = USER.try_get().unwrap_err();
        assert_eq!(error.kind(), LookupErrorKind::LostContext);
        assert_error(&page, &error, panic_text(|| USER.get()));
    };
    run(async { tokio::spawn(async { inherit_context().run(in_copy) }).await.unwrap() });
}

#[test]
fn a_task_inside_the_context_of_another() {
    let page = Page::read();
    Context::new().run(|| {
        run(async {
            tokio::spawn(async move { assert_refused(&page, WriteErrorKind::OtherTask) }).await.unwrap();
        });
    });
}

/// Calls a function when it is dropped.
struct OnDrop(Box<dyn FnMut()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Runs `f` on a thread whose own context is gone.
fn after_exit(f: impl FnMut() + Send + 'static) {
    thread_local!(static LAST: RefCell<Option<OnDrop>> = const { RefCell::new(None) });

    // A panic in a destructor of a thread-local would abort the process.
    let (sender, outcome) = std::sync::mpsc::channel();
    let mut f = f;
    let on_exit = move || sender.send(panic::catch_unwind(AssertUnwindSafe(&mut f))).unwrap();
    thread::spawn(move || {
        // Before the context's destructor is registered, so this one runs after it.
        LAST.set(Some(OnDrop(Box::new(on_exit))));
        USER.set("ada".to_owned());
    })
    .join()
    .unwrap();
    if let Err(panic) = outcome.recv().unwrap() {
        panic::resume_unwind(panic);
    }
}

#[test]
fn a_thread_that_exits() {
    after_exit(|| assert_refused(&Page::read(), WriteErrorKind::ThreadExit));
}

#[test]
fn tokens_of_another_variable_and_of_another_context() {
    let page = Page::read();
    let error = ADMIN.try_reset(USER.set("ada".to_owned())).unwrap_err();
    assert_eq!(error.kind(), ResetErrorKind::DifferentVar);
    let text = error.to_string();
    page.assert_has(&text);
    let panic = panic_text(|| ADMIN.reset(error.into_token()));
    assert!(panic.starts_with(&text), "{panic}");
    page.assert_linked(&panic);

    let mut copy = copy_context();
    let error = copy.run(|| USER.try_reset(USER.set("ada".to_owned()))).err();
    assert!(error.is_none());
    let token = USER.set("grace".to_owned());
    let error = copy.run(|| USER.try_reset(token)).unwrap_err();
    assert_eq!(error.kind(), ResetErrorKind::DifferentContext);
    let text = error.to_string();
    page.assert_has(&text);
    let panic = panic_text(|| copy.run(|| USER.reset(error.into_token())));
    assert!(panic.starts_with(&text), "{panic}");
    page.assert_linked(&panic);
}

#[test]
fn ignored_baggage() {
    let page = Page::read();
    let start = "baggage entry `tenant` was ignored: ";
    page.assert_has(start);
    let mut reasons = 0;
    let mut check = |errors: Vec<baggage::BaggageError>| {
        assert!(!errors.is_empty());
        for error in errors {
            let text = error.to_string();
            let (before, reason) = text.split_once(" was ignored: ").unwrap();
            assert!(before.starts_with("baggage entry `"), "{text}");
            page.assert_has(reason);
        }
        reasons += 1;
    };
    let extract = |header: Vec<u8>| {
        let request = Request::builder().header("baggage", header).body(()).unwrap();
        Context::new().run(|| baggage::extract_headers(request.headers()))
    };
    for header in ["number", "a b=1", "key=\u{e9}", "key=%4", "key=%FF", "key=1;a b", "number=x"] {
        check(extract(header.as_bytes().to_vec()));
    }
    check(extract((0..65).map(|n| format!("key{n}=1")).collect::<Vec<_>>().join(",").into()));
    check(extract(format!("key={}", "x".repeat(8192)).into()));
    check(baggage::restore([("undeclared", "1")]).1);
    check(run(async {
        let refused = async {
            let request = Request::builder().header("baggage", "number=1").body(()).unwrap();
            baggage::extract_headers(request.headers())
        };
        tokio::spawn(refused).await.unwrap()
    }));
    assert_eq!(reasons, 11);
    assert!(!NUMBER.is_set());
}

#[test]
fn a_response_and_a_metric_that_would_show_a_secret() {
    let page = Page::read();
    let header = || ContextLayer::new().response_header(HeaderName::from_static("x-password"), &PASSWORD);
    page.assert_linked(&panic_text(header));
    let label = || MetricAttributes::new().with_variables(&[&PASSWORD]);
    page.assert_linked(&panic_text(label));
}

/// A sink and a stream, which has ended.
struct Ended;

impl Stream for Ended {
    type Item = ();

    fn poll_next(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Option<()>> {
        Poll::Ready(None)
    }
}

impl Sink<()> for Ended {
    type Error = Infallible;

    fn poll_ready(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, (): ()) -> Result<(), Infallible> {
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn futures_responses_and_sinks_that_have_ended() {
    let page = Page::read();
    let mut future = pin!(Context::new().scope(async {}));
    assert!(future.as_mut().now_or_never().is_some());
    page.assert_linked(&panic_text(|| future.as_mut().now_or_never()));

    let layer = ContextLayer::new().set_or_reject(&USER, |_| Err(()), |()| Response::new(()));
    let mut service = layer.layer(service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(()))));
    let mut response = pin!(service.call(Request::new(())));
    assert!(response.as_mut().now_or_never().is_some());
    page.assert_linked(&panic_text(|| response.as_mut().now_or_never()));

    let mut both = pin!(Context::new().scope(Ended));
    assert!(both.next().now_or_never().unwrap().is_none());
    let mut cx = std::task::Context::from_waker(Waker::noop());
    page.assert_linked(&panic_text(|| both.as_mut().poll_ready(&mut cx)));
}

/// Sets `USER` in a task that serves a connection of hyper.
async fn set_in_a_connection() {
    let (client, server) = tokio::io::duplex(1024);
    task::spawn(async {
        let serve = async |_: Request<hyper::body::Incoming>| {
            USER.set("ada".to_owned());
            Context::new().with_value(&ADMIN, String::new()).apply_changes_to_current(&Context::new());
            Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
        };
        let serve = hyper::service::service_fn(serve);
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), serve).await
    });
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().header("host", "localhost").body(Empty::<bytes::Bytes>::new()).unwrap();
    sender.send_request(request).await.unwrap();
}

/// Reads and writes at the place of the caller, because each place is reported once.
#[track_caller]
fn use_variable() {
    drop(USER.try_get());
    drop(USER.try_set(String::new()));
    drop(Context::new().try_apply_changes_to_current(&Context::new()));
}

/// One test, because the reporter is that of the process. Other tests cause reports as well.
#[test]
fn reports() {
    fn is_linked(page: &Page, report: Report) {
        // Without the place.
        let text = report.to_string();
        let (place, text) = text.split_once(": ").unwrap();
        assert_eq!(place, report.location().to_string());
        page.assert_linked(text);
    }

    let page = Page::read();
    let (sender, mut reports) = mpsc::unbounded_channel();
    report::report_threads(true);
    // After this test, reports of others find no receiver.
    report::set_reporter(move |report| {
        let _ = sender.send(report);
    });
    run(async { tokio::spawn(async { use_variable() }).await.unwrap() });
    run(async { tokio::spawn(async { inherit_context().run(|| drop(USER.try_get())) }).await.unwrap() });
    Context::new().run(|| run(async { tokio::spawn(async { use_variable() }).await.unwrap() }));
    run(set_in_a_connection());
    thread::spawn(|| drop(USER.try_get())).join().unwrap();
    after_exit(use_variable);

    let mut causes = Vec::new();
    while let Ok(report) = reports.try_recv() {
        is_linked(&page, report);
        let kind = (report.cause(), report.access());
        if !causes.contains(&kind) {
            causes.push(kind);
        }
    }
    for cause in [
        Cause::NoContext,
        Cause::LostContext,
        Cause::OtherTask,
        Cause::Connection,
        Cause::Thread,
        Cause::ThreadExit,
    ] {
        assert!(causes.iter().any(|kind| kind.0 == cause), "{cause:?} is not in {causes:?}");
    }
    // The reporter for tests panics with the same text.
    let report = report::all()[0];
    assert_eq!(panic_text(|| report::panic(report)), report.to_string());
}
