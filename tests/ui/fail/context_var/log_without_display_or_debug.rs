use contextvar::context_var;

struct NeitherDisplayNorDebug;

#[context_var(log)]
static SHAPE: NeitherDisplayNorDebug;

fn main() {}
