//! Expansions raise no lint in a crate with the strictest lints. Clippy also checks this file.
#![deny(
    clippy::all,
    clippy::nursery,
    clippy::pedantic,
    future_incompatible,
    missing_docs,
    rust_2018_idioms,
    unreachable_pub,
    unused,
    warnings
)]
#![forbid(unsafe_code)]

use std::future::ready;
use std::num::ParseIntError;
use std::pin::Pin;

use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String = String::new();

#[context_var(name = "number", secret)]
static NUMBER: u64;

#[context_var]
static LIST: Vec<u8> = Vec::new();

#[with_copied_context(USER = "ada".to_owned(), NUMBER = u64::from(a))]
#[expect(clippy::many_single_char_names, reason = "it also fires without the attribute")]
async fn seven_arguments(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8) -> u64 {
    ready(()).await;
    u64::from(a + b + c + d + e + f + g) + NUMBER.get()
}

#[with_copied_context]
async fn unit() {
    LIST.set(vec![1]);
    ready(()).await;
}

#[with_copied_context]
async fn question(text: &str) -> Result<u8, ParseIntError> {
    let n = text.parse()?;
    ready(()).await;
    Ok(n)
}

#[with_copied_context]
async fn patterns((a, b): (u8, u8), mut c: u8, _: u8, _unused: &str) -> u8 {
    c += a + b;
    ready(c).await
}

#[with_copied_context]
async fn lints_of_arguments(
    #[allow(unused_variables)] a: u8,
    #[expect(unused_mut, reason = "fulfilled only if the attribute is kept on the argument")] mut b: u8,
) -> u8 {
    ready(b).await
}

#[with_copied_context]
fn plain(text: &str) -> Option<&str> {
    text.get(1..)
}

#[with_copied_context]
async fn never() -> ! {
    loop {
        ready(()).await;
    }
}

struct Service;

#[with_copied_context]
impl Service {
    async fn call(&self, n: u8) -> u8 {
        ready(n).await
    }

    fn boxed(&self) -> Pin<Box<dyn Future<Output = u8> + Send + '_>> {
        Box::pin(self.call(1))
    }
}

trait Greeter {
    async fn greet(&self) -> u8;
}

#[with_copied_context]
impl Greeter for Service {
    async fn greet(&self) -> u8 {
        self.call(2).await
    }
}

#[tokio::test]
async fn strict_code_runs() {
    assert_eq!(seven_arguments(1, 1, 1, 1, 1, 1, 1).await, 8);
    unit().await;
    assert_eq!(question("1").await, Ok(1));
    assert_eq!(patterns((1, 1), 1, 1, "").await, 3);
    assert_eq!(lints_of_arguments(1, 2).await, 2);
    assert_eq!(plain("ab"), Some("b"));
    assert_eq!((Service.boxed().await, Service.greet().await), (1, 2));
    assert!(USER.get().is_empty());
    let first = tokio::select! {
        biased;
        () = ready(()) => "ready",
        never = never() => never,
    };
    assert_eq!(first, "ready");
}
