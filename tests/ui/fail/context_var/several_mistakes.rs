use contextvar::context_var;

#[context_var(title = "user", secret, secret, name = 5)]
static mut USER: String;

fn main() {
    USER.is_set();
}
