//! An error type of one's own.

// Recipe

use std::error::Error;
use std::fmt;

use contextvar::ContextSnapshot;

#[derive(Debug)]
struct OutOfStock {
    item: u32,
    context: ContextSnapshot,
}

impl OutOfStock {
    fn new(item: u32) -> Self {
        OutOfStock { item, context: ContextSnapshot::capture() }
    }
}

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} is out of stock ({})", self.item, self.context)
    }
}

impl Error for OutOfStock {}

// Test

use crate::support::context;

#[test]
fn an_error_has_the_variables_of_the_place_where_it_was_made() {
    let errors = [1, 2].map(|n| context(n).run(|| Box::<dyn Error + Send + Sync>::from(OutOfStock::new(3))));
    for (n, error) in (1..).zip(errors) {
        let (text, debug) = context(9).run(|| (error.to_string(), format!("{error:?}")));
        assert_eq!(text, format!("item 3 is out of stock (request_id={n} tenant=\"tenant {n}\")"));
        assert!(debug.contains(&format!("request_id: {n}")), "{debug}");
    }
}
