use std::pin::Pin;

use contextvar::with_copied_context;

type Answer<'a> = Pin<Box<dyn Future<Output = u64> + Send + 'a>>;

#[with_copied_context]
fn answer(n: &u64) -> Answer<'_> {
    Box::pin(async move { *n })
}

fn main() {
    let _ = answer(&42);
}
