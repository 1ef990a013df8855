use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: &str;

#[with_copied_context]
#[with_copied_context(USER = "ada")]
async fn handler() {}

fn main() {
    let _ = handler();
}
