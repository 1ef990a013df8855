use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: &str;

#[with_copied_context(USER = )]
async fn handler() {}

fn main() {
    let _ = handler();
}
