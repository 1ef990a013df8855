use contextvar::context_var;

#[context_var(inherit = "no")]
static USER: String;

fn main() {
    USER.is_set();
}
