//! `inspect` lists requests that a layer of `contextvar::tower` gives values.

use std::convert::Infallible;

use contextvar::tower::ContextLayer;
use contextvar::{ContextVar, inspect};
use tower::{Layer, ServiceExt, service_fn};

static TENANT: ContextVar<&str> = ContextVar::new("tenant").debug();

/// The values are set before the first poll, in an entry that is not counted.
#[tokio::test]
async fn values_that_a_layer_sets_are_no_poll() {
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
