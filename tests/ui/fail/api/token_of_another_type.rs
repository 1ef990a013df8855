use contextvar::context_var;

#[context_var]
static USER: String;

#[context_var]
static NUMBER: u64;

fn main() {
    let token = USER.set("ada".to_owned());
    NUMBER.reset(token);
}
