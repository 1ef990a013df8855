use contextvar::with_copied_context;

#[with_copied_context]
static USER: String = String::new();

fn main() {
    let _ = &USER;
}
