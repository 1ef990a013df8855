//! `#[with_copied_context]` on functions of every signature.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String = "nobody".to_owned();

#[context_var]
static NUMBER: u64 = 0;

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[with_copied_context]
async fn plain() -> u64 {
    NUMBER.set(1);
    tokio::task::yield_now().await;
    NUMBER.get()
}

#[with_copied_context]
async fn nothing() {
    NUMBER.set(1);
}

#[with_copied_context]
#[allow(clippy::toplevel_ref_arg, reason = "the pattern is under test")]
async fn patterns(
    (a, mut b): (u64, u64),
    [c, ..]: [u64; 3],
    _: String,
    ref d: u64,
    mut e: u64,
    _f: u64,
) -> u64 {
    b += 1;
    e += 1;
    NUMBER.set(a + b + c + *d + e);
    tokio::task::yield_now().await;
    NUMBER.get()
}

#[with_copied_context]
#[allow(clippy::needless_lifetimes)]
async fn generic<'a, T, const N: usize>(items: &'a [T; N], prefix: &str) -> Vec<String>
where
    T: Display + Sync,
{
    USER.set(prefix.to_owned());
    items.iter().map(|item| format!("{} {item}", USER.get())).collect()
}

#[with_copied_context]
async fn longest<'a>(a: &'a str, _b: &str) -> &'a str {
    tokio::task::yield_now().await;
    a
}

#[with_copied_context]
async fn elided(a: &mut Vec<u64>) -> &mut u64 {
    a.push(7);
    a.last_mut().unwrap()
}

#[with_copied_context]
async fn impl_arg(value: impl Debug + Send, other: &impl Display) -> String {
    format!("{value:?} {other}")
}

#[with_copied_context]
async fn impl_return(value: u64) -> impl Display + Send {
    value + 1
}

#[with_copied_context]
async fn nested_impl_return(value: u64) -> Result<impl Display + Debug, std::num::ParseIntError> {
    if value == 0 {
        let n: u64 = "zero".parse()?;
        return Ok(n);
    }
    Ok(value + 1)
}

#[with_copied_context]
async fn question(text: &str) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let n: u64 = text.parse()?;
    if n == 13 {
        return Err("unlucky".into());
    }
    Ok(n)
}

#[with_copied_context]
async fn coerced(flag: bool) -> Box<dyn Display + Send> {
    if flag {
        return Box::new(1);
    }
    Box::new("two")
}

#[with_copied_context]
async fn never() -> std::convert::Infallible {
    std::future::pending().await
}

#[with_copied_context]
async unsafe fn dangerous(pointer: *const u64) -> u64 {
    // SAFETY: the caller's.
    unsafe { *pointer }
}

#[with_copied_context]
async fn recursive(n: u64) -> u64 {
    NUMBER.set(n);
    let below = if n == 0 { 0 } else { Box::pin(recursive(n - 1)).await };
    below + NUMBER.get()
}

#[with_copied_context(NUMBER = items.len() as u64, USER = format!("{} items", NUMBER.get()))]
async fn entries(items: Vec<u64>) -> (u64, String) {
    drop(items);
    (NUMBER.get(), USER.get())
}

#[with_copied_context(self::NUMBER = 5)]
fn plain_fn(value: &str, mut list: Vec<u64>) -> (&str, Vec<u64>) {
    list.push(NUMBER.get());
    NUMBER.set(6);
    list.push(NUMBER.get());
    if list.len() > 100 {
        return ("", list);
    }
    (value, list)
}

#[with_copied_context]
fn early(text: &str) -> Result<u64, std::num::ParseIntError> {
    let n = text.parse()?;
    NUMBER.set(n);
    Ok(NUMBER.get())
}

/// A tail expression whose temporary borrows an argument.
#[with_copied_context]
async fn tail_temporary(lock: Mutex<u64>) -> u64 {
    *lock.lock().unwrap()
}

#[with_copied_context]
async fn inner_attributes() -> u64 {
    #![allow(unused_variables)]
    let unused = 1;
    2
}

#[with_copied_context]
fn returns_boxed(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    NUMBER.set(n);
    Box::pin(async {
        tokio::task::yield_now().await;
        NUMBER.get()
    })
}

#[with_copied_context]
fn returns_impl(n: u64) -> impl Future<Output = u64> {
    NUMBER.set(n);
    async {
        tokio::task::yield_now().await;
        NUMBER.get()
    }
}

#[with_copied_context]
async fn never_returns(flag: bool) -> ! {
    assert!(!flag, "on purpose");
    std::future::pending().await
}

#[with_copied_context]
async fn higher_ranked<F>(f: F, text: &str) -> usize
where
    F: for<'a> Fn(&'a str) -> &'a str,
{
    tokio::task::yield_now().await;
    f(text).len()
}

#[with_copied_context]
async fn configured(#[cfg(any())] _gone: NoSuchType, #[cfg(not(any()))] (a, b): (u64, u64), c: u64) -> u64 {
    a + b + c
}

#[with_copied_context]
fn plain_with_impl(n: u64) -> Result<impl Display, std::fmt::Error> {
    Ok(n)
}

#[with_copied_context]
fn plain_generic<'a, T: Clone>(items: &'a [T], _text: &str) -> Option<std::borrow::Cow<'a, [T]>> {
    Some(items.into())
}

#[with_copied_context]
extern "C" fn foreign(n: u64) -> u64 {
    NUMBER.set(n);
    NUMBER.get()
}

#[tokio::test]
async fn common_signatures() {
    NUMBER.set(100);
    assert_eq!(assert_send(plain()).await, 1);
    assert_send(nothing()).await;
    assert_eq!(patterns((1, 2), [3, 0, 0], String::new(), 4, 5, 6).await, 17);
    assert_eq!(assert_send(generic(&[1, 2], "n")).await, ["n 1", "n 2"]);
    let short = String::from("b");
    assert_eq!(longest("a", &short).await, "a");
    let mut list = vec![];
    *elided(&mut list).await += 1;
    assert_eq!(list, [8]);
    assert_eq!(impl_arg(Some(1), &2).await, "Some(1) 2");
    assert_eq!(impl_return(1).await.to_string(), "2");
    assert_eq!(nested_impl_return(1).await.unwrap().to_string(), "2");
    assert!(nested_impl_return(0).await.is_err());
    assert_eq!(question("12").await.unwrap(), 12);
    assert_eq!(question("13").await.unwrap_err().to_string(), "unlucky");
    assert!(question("x").await.is_err());
    assert_eq!(coerced(true).await.to_string() + &coerced(false).await.to_string(), "1two");
    assert!(futures::FutureExt::now_or_never(never()).is_none());
    // SAFETY: the pointer is good.
    assert_eq!(unsafe { dangerous(&7) }.await, 7);
    assert_eq!(recursive(3).await, 6);
    assert_eq!(entries(vec![1, 2]).await, (2, "2 items".to_owned()));
    assert_eq!(plain_fn("x", vec![1]), ("x", vec![1, 5, 6]));
    assert_eq!(early("3"), Ok(3));
    assert!(early("x").is_err());
    assert_eq!(tail_temporary(Mutex::new(3)).await, 3);
    assert_eq!(inner_attributes().await, 2);
    assert_eq!(returns_boxed(4).await, 4);
    assert_eq!(returns_impl(5).await, 5);
    assert_eq!(NUMBER.get(), 100);
    assert!(!USER.is_set());
}

#[tokio::test]
async fn rare_signatures() {
    assert!(futures::FutureExt::now_or_never(never_returns(false)).is_none());
    assert_eq!(assert_send(higher_ranked(|text| &text[1..], "abc")).await, 2);
    assert_eq!(configured((1, 2), 3).await, 6);
    assert_eq!(plain_with_impl(1).unwrap().to_string(), "1");
    assert_eq!(plain_generic(&[1, 2], "").unwrap().len(), 2);
    let foreign: extern "C" fn(u64) -> u64 = foreign;
    assert_eq!(foreign(5), 5);
    assert!(!NUMBER.is_set());
}
