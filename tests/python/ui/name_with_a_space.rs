use contextvar::context_var;

#[context_var(python = "app: USER")]
static USER: String;

fn main() {}
