use contextvar::context_var;

#[context_var(name = "user", name = "admin")]
static USER: String;

fn main() {
    USER.is_set();
}
