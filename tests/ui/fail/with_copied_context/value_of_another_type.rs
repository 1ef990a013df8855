use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String;

#[with_copied_context(USER = name)]
async fn handler(name: &str) {}

fn main() {
    let _ = handler("ada");
}
