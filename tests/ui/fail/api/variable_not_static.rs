use contextvar::ContextVar;

fn main() {
    let user: ContextVar<String> = ContextVar::new("user");
    user.set("ada".to_owned());
}
