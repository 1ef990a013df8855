use contextvar::context_var;

#[context_var(name = )]
static USER: String;

fn main() {
    USER.is_set();
}
