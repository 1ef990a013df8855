use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String;

#[with_copied_context(USER = "ada".to_owned(), USER = "grace".to_owned())]
async fn handler() {}

fn main() {
    let _ = handler();
}
