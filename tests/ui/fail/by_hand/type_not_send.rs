use std::rc::Rc;

use contextvar::ContextVar;

static USER: ContextVar<Rc<str>> = ContextVar::new("user");

fn main() {
    USER.is_set();
}
