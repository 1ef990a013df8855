use contextvar::context_var;

#[context_var(python = "USER")]
static USER: String;

fn main() {}
