use contextvar::context_var;

#[context_var(log, secret)]
static SECRET: String;

#[context_var(log = true)]
static WITH_A_VALUE: String;

fn main() {}
