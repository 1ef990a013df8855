use contextvar::context_var;

#[context_var]
struct User {
    name: String,
}

fn main() {
    let _ = User { name: String::new() };
}
