use contextvar::context_var;

struct Codec;

#[context_var(python = "app:USER", codec = Codec)]
static USER: String;

fn main() {}
