use contextvar::context_var;

#[context_var(name = user)]
static USER: String;

fn main() {
    USER.is_set();
}
