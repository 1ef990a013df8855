use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: &str;

#[with_copied_context(isolated, USER = "ada", USER = "grace", 5)]
async fn handler() {}

#[with_copied_context(isolated, USER = )]
impl Service {
    async fn call(&self) {}
}

struct Service;

fn main() {
    let _ = (handler(), Service.call());
}
