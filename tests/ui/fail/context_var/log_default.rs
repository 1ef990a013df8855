use contextvar::context_var;

#[context_var(log_default)]
static NOT_LOGGED: u8 = 1;

#[context_var(log, log_default)]
static NO_DEFAULT: u8;

#[context_var(log, log_default = true)]
static WITH_A_VALUE: u8 = 1;

fn main() {}
