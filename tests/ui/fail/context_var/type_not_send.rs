use std::rc::Rc;

use contextvar::context_var;

#[context_var]
static USER: Rc<str> = "nobody".into();

fn main() {
    USER.is_set();
    USER.set("ada".into());
    USER.with(|user| user.len());
}
