use contextvar::context_var;

#[context_var(nmae = "user")]
static USER: String;

fn main() {
    USER.is_set();
}
