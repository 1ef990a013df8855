use contextvar::{context_var, with_copied_context};

#[context_var]
static NUMBER: u64;

#[with_copied_context(NUMBER = 1)]
trait Service {
    async fn call();
}

#[with_copied_context(skipped)]
mod nothing {}

fn main() {}
