use contextvar::context_var;

#[context_var]
static USER: String = "nobody";

fn main() {
    USER.is_set();
}
