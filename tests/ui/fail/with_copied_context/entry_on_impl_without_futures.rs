use contextvar::{context_var, with_copied_context};

#[context_var]
static NUMBER: u64;

struct Service;

#[with_copied_context(NUMBER = 1)]
impl Service {
    fn call(&self) {}
}

fn main() {
    Service.call();
}
