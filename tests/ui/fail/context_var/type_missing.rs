use contextvar::context_var;

#[context_var]
static USER = String::new();

fn main() {}
