use contextvar::with_copied_context;

static USER: &str = "nobody";

#[with_copied_context(USER = "ada")]
async fn handler() {}

fn main() {
    let _ = handler();
}
