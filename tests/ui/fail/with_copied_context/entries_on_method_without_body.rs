use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: &str;

trait Service {
    #[with_copied_context(USER = "ada")]
    async fn call(&self);
}

fn main() {}
