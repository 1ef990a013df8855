use std::convert::Infallible;

use contextvar::context_var;
use contextvar::tower::ContextLayer;
use http::{Request, Response};
use tower::{Layer, Service, service_fn};

#[context_var]
static USER: u64;

fn serve(_: impl Service<Request<()>>) {}

fn main() {
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new("text")));
    let layer = ContextLayer::new().set_or_reject(&USER, |_| Err(()), |()| Response::new(vec![0]));
    serve(layer.layer(inner));
}
