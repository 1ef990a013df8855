use contextvar::with_copied_context;

trait Service {
    #[with_copied_context]
    async fn call(&self) -> u64;
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
