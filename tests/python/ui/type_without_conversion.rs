use contextvar::context_var;

pub struct User(pub String);

#[context_var(python = "app:USER")]
static USER: User;

fn main() {}
