use contextvar::with_copied_context;

struct Service;

#[with_copied_context(skip)]
impl Service {
    async fn call(&self) {}
}

fn main() {
    let _ = Service.call();
}
