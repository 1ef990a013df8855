//! Requests, connections and messages.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{pending, ready};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{self, Poll};

use contextvar::inspect::{self, Kind};
use contextvar::tower::{ContextLayer, MakeContextService};
use contextvar::{ContextVar, baggage, carry};
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use tower::{Layer, Service, service_fn};

use crate::support::*;

static TENANT: ContextVar<String> = ContextVar::new("tenant").debug();

/// A body of this many frames.
struct Frames(u32);

impl Body for Frames {
    type Data = std::io::Cursor<&'static [u8]>;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        let left = self.0;
        self.0 = left.saturating_sub(1);
        Poll::Ready((left > 0).then(|| Ok(Frame::data(std::io::Cursor::new(&b"x"[..])))))
    }
}

fn poll_body<B: Body>(body: &mut Pin<Box<B>>) -> bool {
    let mut cx = task::Context::from_waker(task::Waker::noop());
    matches!(body.as_mut().poll_frame(&mut cx), Poll::Ready(Some(_)))
}

#[test]
fn a_request_is_listed_where_its_layer_was_made_and_then_its_body() {
    in_root(|root| {
        let (layer, line) = at!(ContextLayer::new());
        let layer = layer.set(&TENANT, |_| "acme".to_owned());
        let mut polls = 0;
        let mut service = layer.layer(service_fn(move |_: Request<()>| {
            std::future::poll_fn(move |_| {
                polls += 1;
                if polls == 1 {
                    Poll::Pending
                } else {
                    Poll::Ready(Ok::<_, Infallible>(Response::new(Frames(1))))
                }
            })
        }));
        let mut response = Box::pin(service.call(Request::new(())));
        let context = only(root);
        assert_place(&context, Kind::Request, file!(), line);
        assert_eq!((context.polls(), context.parent()), (0, Some(root)));
        assert_eq!(variables(&context), [r#"tenant="acme""#]);

        assert!(poll(response.as_mut()).is_pending());
        assert_eq!((only(root).kind(), only(root).polls()), (Kind::Request, 1));
        let Poll::Ready(Ok(response)) = poll(response.as_mut()) else { panic!("ready") };
        let of_body = only(root);
        assert_place(&of_body, Kind::Body, file!(), line);
        assert_eq!((of_body.polls(), of_body.number()), (2, context.number()));

        let mut body = Box::pin(response.into_body());
        assert!(poll_body(&mut body));
        assert_eq!(only(root).polls(), 3);
        assert!(!poll_body(&mut body));
        // The body is at its end, but not dropped yet.
        wait_until_empty(root);
        drop(body);
    });
}

#[test]
fn each_way_to_make_a_layer_is_a_place() {
    in_root(|root| {
        let layers =
            [at!(ContextLayer::new()), at!(ContextLayer::from_current()), at!(ContextLayer::default())];
        for (layer, line) in layers {
            let inner = service_fn(|_: Request<()>| pending::<Result<Response<Frames>, Infallible>>());
            let future = layer.layer(inner).call(Request::new(()));
            assert_place(&only(root), Kind::Request, file!(), line);
            drop(future);
            wait_until_empty(root);
        }
    });
}

#[test]
fn a_request_that_failed_and_handed_work_over_is_shown_as_a_request() {
    in_root(|root| {
        let made = Arc::new(Mutex::new(None));
        let to = Arc::clone(&made);
        let inner = service_fn(move |_: Request<()>| {
            *to.lock().unwrap() = Some(contextvar::copy_context().scope(pending::<()>()));
            ready(Err::<Response<Frames>, _>("failed"))
        });
        let mut response = Box::pin(ContextLayer::new().layer(inner).call(Request::new(())));
        assert!(matches!(poll(response.as_mut()), Poll::Ready(Err("failed"))));
        let snapshot = inspect::snapshot();
        let [request, work] = snapshot.descendants(root) else { panic!("{snapshot:?}") };
        assert_eq!((request.kind(), request.finished().is_some()), (Kind::Request, true));
        assert_eq!(work.parent(), Some(request.number()));
        drop(made.lock().unwrap().take());
        wait_until_empty(root);
    });
}

#[test]
fn a_rejection_is_listed_as_a_body() {
    in_root(|root| {
        let (layer, line) = at!(ContextLayer::new());
        let reject = |(): ()| Response::builder().status(StatusCode::FORBIDDEN).body(Frames(1)).unwrap();
        let layer = layer.set_or_reject(&TENANT, |_| Err(()), reject);
        let inner = service_fn(|_: Request<()>| pending::<Result<Response<Frames>, Infallible>>());
        let mut response = Box::pin(layer.layer(inner).call(Request::new(())));
        let Poll::Ready(Ok(response)) = poll(response.as_mut()) else { panic!("ready") };
        assert_place(&only(root), Kind::Body, file!(), line);
        drop(response);
        wait_until_empty(root);
    });
}

#[test]
fn a_request_that_is_dropped_leaves_the_list() {
    in_root(|root| {
        let inner = service_fn(|_: Request<()>| pending::<Result<Response<Frames>, Infallible>>());
        let mut response = Box::pin(ContextLayer::new().layer(inner).call(Request::new(())));
        assert!(poll(response.as_mut()).is_pending());
        drop(response);
        wait_until_empty(root);
        // A service that panics.
        let inner =
            service_fn(|_: Request<()>| -> std::future::Ready<Result<Response<Frames>, Infallible>> {
                panic!("deliberate")
            });
        panics(|| drop(ContextLayer::new().layer(inner).call(Request::new(()))));
        wait_until_empty(root);
    });
}

#[test]
fn work_stays_below_its_finished_request_on_a_connection_that_lives() {
    in_root(|root| {
        // The unit represents the task of the connection.
        let mut connection = Unit::new("connection");
        let (mut job, response) = connection.run(|| {
            let made = Rc::new(RefCell::new(None));
            let of_service = Rc::clone(&made);
            let inner = service_fn(move |_: Request<()>| {
                inspect::set_name("request");
                *of_service.borrow_mut() = Some(Unit::new("first"));
                ready(Ok::<_, Infallible>(Response::new(Frames(0))))
            });
            let mut response = Box::pin(ContextLayer::new().layer(inner).call(Request::new(())));
            let Poll::Ready(Ok(response)) = poll(response.as_mut()) else { panic!("ready") };
            (made.take().unwrap(), response)
        });
        assert_eq!(shape(root), "connection(request(first))");
        drop(response);
        assert_eq!(shape(root), "connection(request!(first))");
        for name in ["second", "third", "fourth"] {
            job = job.child(name);
        }
        assert_eq!(shape(root), "connection(request!(third!(fourth)))");
        drop(job);
        assert_eq!(shape(root), "connection");
        drop(connection);
    });
}

#[test]
fn a_connection_and_its_requests_are_listed_where_the_service_was_made() {
    in_root(|root| {
        let make = service_fn(|()| {
            drop(TENANT.set("acme".to_owned()));
            ready(Ok::<_, Infallible>(service_fn(|()| pending::<Result<(), Infallible>>())))
        });
        let (mut make, line) = at!(MakeContextService::new(make));
        let mut made = Box::pin(make.call(()));
        let context = only(root);
        assert_place(&context, Kind::Scope, file!(), line);
        assert_eq!(context.polls(), 0);
        let Poll::Ready(Ok(mut service)) = poll(made.as_mut()) else { panic!("ready") };
        wait_until_empty(root);
        let mut request = Box::pin(service.call(()));
        let context = only(root);
        assert_place(&context, Kind::Request, file!(), line);
        assert_eq!((context.polls(), variables(&context)), (0, vec![r#"tenant="acme""#.to_owned()]));
        assert!(poll(request.as_mut()).is_pending());
        assert_eq!(only(root).polls(), 1);
        drop(request);
        wait_until_empty(root);
    });
}

#[test]
fn a_request_of_hyper_is_listed_where_its_service_was_made() {
    use contextvar::hyper::ContextService;
    use hyper::service::{Service as _, service_fn};

    in_root(|root| {
        let inner = |_: Request<Frames>| async { Ok::<_, Infallible>(Response::new(Frames(1))) };
        let services = [
            at!(ContextService::new(service_fn(inner))),
            at!(ContextService::from_current(service_fn(inner))),
        ];
        for (service, line) in services {
            let mut response = Box::pin(service.call(Request::new(Frames(0))));
            assert_place(&only(root), Kind::Request, file!(), line);
            assert_eq!(only(root).polls(), 0);
            let Poll::Ready(Ok(response)) = poll(response.as_mut()) else { panic!("ready") };
            assert_place(&only(root), Kind::Body, file!(), line);
            assert_eq!(only(root).polls(), 1);
            drop(response);
            wait_until_empty(root);
        }
    });
}

#[test]
fn a_task_of_an_executor_is_listed_where_the_executor_was_made() {
    use contextvar::hyper::ContextExecutor;
    use hyper::rt::Executor;

    #[derive(Clone, Default)]
    struct Keep;

    static KEPT: Mutex<Vec<Box<dyn std::any::Any + Send>>> = Mutex::new(Vec::new());

    impl<F: Send + 'static> Executor<F> for Keep {
        fn execute(&self, future: F) {
            KEPT.lock().unwrap().push(Box::new(future));
        }
    }

    in_root(|root| {
        for (executor, line) in [at!(ContextExecutor::new(Keep)), at!(ContextExecutor::<Keep>::default())] {
            executor.execute(pending::<()>());
            assert_place(&only(root), Kind::Task, file!(), line);
            let kept = std::mem::take(&mut *KEPT.lock().unwrap());
            drop(kept);
            wait_until_empty(root);
        }
    });
}

#[test]
fn a_closure_that_carries_values_is_listed_where_it_was_wrapped() {
    in_root(|root| {
        let (f, line) = at!(carry::bind(only_running));
        let context = only(root);
        assert_place(&context, Kind::Closure, file!(), line);
        assert_eq!(context.polls(), 0);
        f();
        wait_until_empty(root);
    });

    fn only_running() {
        inspect::set_name("bound");
        let snapshot = inspect::snapshot();
        assert_eq!(snapshot.iter().find(|it| it.name() == Some("bound")).unwrap().polls(), 1);
    }
}

#[test]
fn a_message_is_listed_where_its_work_begins() {
    in_root(|root| {
        let received = baggage::receive(&std::collections::HashMap::new());
        wait_until_empty(root);
        let (future, line) = at!(received.scope(pending::<()>()));
        let mut future = pin!(future);
        assert_place(&only(root), Kind::Scope, file!(), line);
        assert!(poll(future.as_mut()).is_pending());
        assert_eq!(only(root).polls(), 1);
    });
    in_root(|root| {
        let received = baggage::receive(&std::collections::HashMap::new());
        let (context, line) = at!(received.run(|| only(root)));
        assert_place(&context, Kind::Scope, file!(), line);
        wait_until_empty(root);
    });
}
