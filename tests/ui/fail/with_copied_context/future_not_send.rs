use std::rc::Rc;

use contextvar::with_copied_context;

#[with_copied_context]
async fn handler() {
    let local = Rc::new(1);
    std::future::ready(()).await;
    drop(local);
}

fn main() {
    tokio::spawn(handler());
}
