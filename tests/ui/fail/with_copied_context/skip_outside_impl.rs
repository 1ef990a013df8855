use contextvar::with_copied_context;

#[with_copied_context(skip)]
async fn handler() {}

fn main() {
    let _ = handler();
}
