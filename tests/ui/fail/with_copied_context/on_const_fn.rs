use contextvar::with_copied_context;

#[with_copied_context]
const fn answer() -> u64 {
    42
}

fn main() {
    answer();
}
