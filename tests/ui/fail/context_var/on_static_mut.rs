use contextvar::context_var;

#[context_var]
static mut USER: String = String::new();

fn main() {
    USER.get();
}
