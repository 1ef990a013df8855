use contextvar::{context_var, with_copied_context};

#[context_var]
static NUMBER: u64;

#[with_copied_context(NUMBER = 1 +,)]
async fn handler() {}

fn main() {
    let _ = handler();
}
