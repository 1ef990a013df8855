use contextvar::context_var;

struct NeitherDisplayNorDebug;

#[context_var(metric)]
static SHAPE: NeitherDisplayNorDebug;

#[context_var(metric, secret)]
static SECRET: String;

#[context_var(metric = "plan")]
static WITH_A_VALUE: String;

fn main() {}
