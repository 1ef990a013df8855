use contextvar::context_var;

#[context_var(inherit)]
static USER: String;

fn main() {
    USER.is_set();
}
