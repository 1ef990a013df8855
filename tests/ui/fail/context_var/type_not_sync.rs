use std::cell::Cell;

use contextvar::context_var;

#[context_var]
static COUNT: Cell<u64>;

fn main() {
    COUNT.is_set();
}
