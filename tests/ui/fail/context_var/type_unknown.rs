use contextvar::context_var;

#[context_var]
static USER: Unknown;

fn main() {}
