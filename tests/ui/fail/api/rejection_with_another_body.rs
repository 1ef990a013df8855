use axum::Router;
use axum::response::Response;
use contextvar::context_var;
use contextvar::tower::ContextLayer;

#[context_var]
static USER: u64;

fn main() {
    let layer = ContextLayer::new().set_or_reject(&USER, |_| Err(()), |()| Response::new("no user"));
    let _: Router = Router::new().layer(layer);
}
