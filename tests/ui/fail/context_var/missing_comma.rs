use contextvar::{context_var, with_copied_context};

#[context_var(log secret)]
static USER: String;

#[context_var]
static TENANT: u64;

#[with_copied_context(TENANT = 1 USER = "ada".to_owned())]
async fn handler() {}

fn main() {}
