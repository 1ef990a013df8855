use contextvar::context_var;

#[context_var]
const USER: String = String::new();

fn main() {
    USER.get();
}
