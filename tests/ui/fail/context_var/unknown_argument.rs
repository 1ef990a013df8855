use contextvar::context_var;

#[context_var(title = "user")]
static USER: String;

fn main() {
    USER.is_set();
}
