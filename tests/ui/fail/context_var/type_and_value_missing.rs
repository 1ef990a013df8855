use contextvar::context_var;

#[context_var]
static USER;

fn main() {
    USER.is_set();
}
