use contextvar::context_var;

#[context_var]
static USER: &'a str;

fn main() {}
