use contextvar::context_var;

#[context_var(report = "no")]
static USER: String;

fn main() {}
