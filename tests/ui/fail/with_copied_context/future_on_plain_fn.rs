use contextvar::with_copied_context;

#[with_copied_context(future)]
fn answer() -> u64 {
    42
}

fn main() {
    answer();
}
