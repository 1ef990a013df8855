use contextvar::context_var;

#[context_var(baggage = "list")]
static LIST: Vec<u8>;

fn main() {}
