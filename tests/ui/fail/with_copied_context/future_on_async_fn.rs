use contextvar::with_copied_context;

#[with_copied_context(future)]
async fn answer() -> u64 {
    42
}

fn main() {
    let _ = answer();
}
