use contextvar::context_var;
use contextvar::tower::ContextLayer;
use http::Response;

#[context_var]
static USER: u64;

fn main() {
    let _ = ContextLayer::new()
        .set_or_reject(&USER, |_| Err(()), |()| Response::new("text"))
        .set_or_reject(&USER, |_| Err(()), |()| Response::new(7));
}
