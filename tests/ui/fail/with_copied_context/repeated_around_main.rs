use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String;
#[context_var]
static NUMBER: u64;

#[with_copied_context(NUMBER = 1)]
#[tokio::main]
#[with_copied_context(USER = "ada".to_owned())]
async fn main() {
    assert!(USER.is_set());
}
