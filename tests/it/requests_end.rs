//! Where requests and responses are dropped that a `ContextLayer` cannot finish.

use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use contextvar::context_var;
use contextvar::tower::ContextLayer;
use futures::FutureExt;
use http::{HeaderName, Request, Response};
use tower::{Layer, Service, service_fn};

use crate::support::Log;

#[context_var]
static USER: String;

#[context_var]
static ID: u64;

/// Notes the user of the context that it is dropped in.
struct Body(Log);

impl Drop for Body {
    fn drop(&mut self) {
        self.0.push(USER.get_or("nobody".to_owned()));
    }
}

fn layer() -> ContextLayer {
    ContextLayer::new().set(&USER, |_| "ada".to_owned())
}

async fn never(_: Request<Body>) -> Result<Response<&'static str>, Infallible> {
    panic!("the request does not get here");
}

#[test]
fn a_rejected_request_is_dropped_in_its_context() {
    let log = Log::default();
    let layer = layer().set_or_reject(
        &ID,
        |_| Err("no id"),
        |reason| Response::builder().status(400).body(reason).unwrap(),
    );
    let response = layer.layer(service_fn(never)).call(Request::new(Body(log.clone()))).now_or_never();
    assert_eq!(response.unwrap().unwrap().status(), 400);
    assert_eq!(log.take(), ["ada"]);
}

#[test]
fn a_panicking_setter_drops_the_request_in_its_context() {
    let log = Log::default();
    let mut service = layer().set(&ID, |_| panic!("no id")).layer(service_fn(never));
    let call = || drop(service.call(Request::new(Body(log.clone()))));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(log.take(), ["ada"]);
}

#[test]
fn a_panicking_header_drops_the_body_in_its_context() {
    struct Panics;
    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("not shown");
        }
    }

    #[context_var]
    static PANICS: Panics;

    let log = Log::default();
    let answer = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Body(log.clone()))));
    let layer =
        layer().set(&PANICS, |_| Panics).response_header(HeaderName::from_static("x-panics"), &PANICS);
    let mut service = layer.layer(answer);
    let call = || drop(service.call(Request::new(())).now_or_never());
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(log.take(), ["ada"]);
}
