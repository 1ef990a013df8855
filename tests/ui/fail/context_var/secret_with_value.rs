use contextvar::context_var;

#[context_var(secret = true)]
static USER: String;

fn main() {
    USER.is_set();
}
