use contextvar::context_var;

#[context_var]
static USER: u64;

fn main() {
    USER.set("ada");
}
