use contextvar::with_copied_context;

#[with_copied_context]
async fn tail() -> String {
    "text"
}

#[with_copied_context]
async fn early(flag: bool) -> String {
    if flag {
        return 1;
    }
    String::new()
}

#[with_copied_context]
async fn missing() -> String {
    String::new();
}

#[with_copied_context]
fn plain() -> String {
    "text"
}

fn main() {
    let _ = (tail(), early(true), missing(), plain());
}
