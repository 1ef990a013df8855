use contextvar::with_copied_context;

#[with_copied_context]
async fn main() {}
