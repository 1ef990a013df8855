use contextvar::context_var;

struct Codec;

#[context_var(python_codec = Codec)]
static USER: String;

fn main() {}
