use contextvar::context_var;

#[context_var(name = "user")]
#[context_var(secret)]
static USER: String;

fn main() {
    USER.is_set();
}
