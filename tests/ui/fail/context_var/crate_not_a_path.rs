use contextvar::context_var;

#[context_var(crate = "contextvar")]
static USER: String;

fn main() {
    USER.is_set();
}
