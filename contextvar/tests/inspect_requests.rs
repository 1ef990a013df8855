//! `inspect` lists requests that a layer of `contextvar::tower` gives values.

use std::convert::Infallible;

use contextvar::tower::ContextLayer;
use contextvar::{ContextVar, inspect, task};
use tokio::sync::oneshot;
use tower::{Layer, ServiceExt, service_fn};

/// Locked by each test: both see all contexts of the process.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

static TENANT: ContextVar<&str> = ContextVar::new("tenant").debug();
static BASKET: ContextVar<String> = ContextVar::new("basket").debug();

/// The values are set before the first poll, in an entry that is not counted.
#[tokio::test]
async fn values_that_a_layer_sets_are_no_poll() {
    let _alone = ALONE.lock().await;
    inspect::enable();
    let layer = ContextLayer::new().set(&TENANT, |_| {
        assert_eq!(inspect::snapshot().roots().next().unwrap().polls(), 0);
        "acme"
    });
    let service = layer.layer(service_fn(|_: http::Request<()>| async {
        let snapshot = inspect::snapshot();
        let request = snapshot.roots().next().unwrap();
        assert_eq!(request.variables().collect::<Vec<_>>(), [("tenant", r#""acme""#)]);
        Ok::<_, Infallible>(http::Response::builder().header("x-polls", request.polls()).body(()).unwrap())
    }));
    let response = service.oneshot(http::Request::new(())).await.unwrap();
    assert_eq!(response.headers()["x-polls"], "1");
}

/// While the request lives, the two share the value.
#[tokio::test]
async fn a_task_that_outlives_its_request_keeps_values_alive_alone() {
    let _alone = ALONE.lock().await;
    inspect::enable();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut stopped = Some(stopped);
    let layer = ContextLayer::new().set(&BASKET, |_| "apples ".repeat(100));
    let service = layer.layer(service_fn(move |_: http::Request<()>| {
        let stopped = stopped.take().unwrap();
        task::spawn(async { stopped.await.unwrap() });
        let snapshot = inspect::snapshot();
        assert_eq!(snapshot.iter().map(|context| context.size()).collect::<Vec<_>>(), [0, 0]);
        async { Ok::<_, Infallible>(http::Response::new(())) }
    }));
    drop(service.oneshot(http::Request::new(())).await);

    let snapshot = inspect::snapshot();
    let request = snapshot.roots().next().unwrap();
    assert!(request.finished().is_some());
    // No longer `Body`.
    assert_eq!(request.kind(), inspect::Kind::Request);
    assert_eq!(request.size(), 0);
    let sizes: Vec<_> = snapshot.children(request.number()).map(|context| context.size()).collect();
    assert!(matches!(sizes[..], [700..1500]), "{sizes:?}");
    stop.send(()).unwrap();
}
