use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String;
#[context_var]
static NUMBER: u64;

#[with_copied_context(NUMBER = 1)]
#[with_copied_context(USER = "ada".to_owned())]
mod service {
    use super::*;

    pub async fn call() {}
}

fn main() {
    drop(service::call());
}
