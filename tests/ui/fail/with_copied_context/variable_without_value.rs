use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String;

mod config {
    #[contextvar::context_var]
    pub static LOCALE_2: String;
}

#[with_copied_context(USER, config::LOCALE_2)]
async fn handler() {}

fn main() {
    let _ = handler();
}
