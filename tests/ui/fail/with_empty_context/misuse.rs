use contextvar::{context_var, with_empty_context};

#[context_var]
static USER: String;

#[with_empty_context(copied)]
async fn unknown_argument() {}

#[with_empty_context(USER = 7)]
fn value_of_another_type() {}

#[with_empty_context]
struct NotAFunction;

#[with_empty_context(skip)]
async fn skipped() {}

fn main() {}
