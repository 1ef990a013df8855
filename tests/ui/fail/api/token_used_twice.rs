use contextvar::context_var;

#[context_var]
static USER: String;

fn main() {
    let token = USER.set("ada".to_owned());
    USER.reset(token);
    USER.reset(token);
}
