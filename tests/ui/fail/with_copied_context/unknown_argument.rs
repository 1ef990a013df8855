use contextvar::with_copied_context;

#[with_copied_context(isolated)]
async fn handler() {}

fn main() {
    let _ = handler();
}
