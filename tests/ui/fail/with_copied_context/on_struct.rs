use contextvar::with_copied_context;

#[with_copied_context]
struct Service;

fn main() {
    let _ = Service;
}
