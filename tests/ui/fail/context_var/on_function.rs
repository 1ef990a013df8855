use contextvar::context_var;

#[context_var]
async fn handler() {}

fn main() {
    let _ = handler();
}
