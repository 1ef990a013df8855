use contextvar::{with_copied_context, with_empty_context};

#[with_copied_context]
trait Service {
    async fn call(&self) -> u64;
}

#[with_empty_context]
trait Boxed {
    const N: u64;

    fn boxed(&self) -> std::pin::Pin<Box<dyn Future<Output = u64>>>;

    fn plain(&self) {}
}

struct Answer;

impl Service for Answer {
    async fn call(&self) -> u64 {
        42
    }
}

fn main() {
    let _ = Answer.call();
}
