use contextvar::context_var;

#[context_var(7)]
static USER: String;

fn main() {}
