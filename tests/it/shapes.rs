//! The shapes of functions that `#[with_copied_context]` goes on.

use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

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
#[allow(clippy::toplevel_ref_arg, reason = "a pattern to be kept")]
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

#[derive(Default)]
struct Service {
    calls: u64,
    name: String,
}

impl Service {
    #[with_copied_context]
    async fn by_ref(&self, suffix: &str) -> String {
        USER.set(self.name.clone());
        tokio::task::yield_now().await;
        USER.with(|user| format!("{user}{suffix}"))
    }

    #[with_copied_context]
    async fn by_mut(&mut self) -> u64 {
        self.calls += 1;
        NUMBER.set(self.calls);
        tokio::task::yield_now().await;
        NUMBER.get()
    }

    #[with_copied_context(USER = self.name.clone())]
    async fn by_value(self) -> String {
        USER.get() + &self.name
    }

    #[with_copied_context]
    async fn by_mut_value(mut self) -> Self {
        self.calls = NUMBER.get();
        self
    }

    #[with_copied_context]
    async fn by_arc(self: Arc<Self>) -> Arc<Self> {
        self
    }

    #[with_copied_context]
    async fn by_box(self: Box<Self>) -> String {
        self.name
    }

    #[with_copied_context]
    async fn by_pin(self: Pin<&mut Self>) -> u64 {
        self.calls
    }

    #[with_copied_context]
    async fn unused_self(&self) -> u64 {
        NUMBER.get()
    }

    #[with_copied_context]
    async fn get_name(&self) -> &str {
        &self.name
    }

    #[with_copied_context]
    fn plain(&mut self, n: u64) -> &mut u64 {
        NUMBER.set(n);
        self.calls = NUMBER.get();
        &mut self.calls
    }
}

trait Greeter {
    const GREETING: &'static str;
    fn name(&self) -> &str;

    async fn greet(&self, other: &str) -> String;

    #[with_copied_context]
    async fn greet_twice(&self) -> String
    where
        Self: Sync,
    {
        NUMBER.set(2);
        let once = self.greet(Self::GREETING).await;
        format!("{once}{}", NUMBER.get())
    }
}

impl Greeter for Service {
    const GREETING: &'static str = "hi";

    fn name(&self) -> &str {
        &self.name
    }

    #[with_copied_context]
    async fn greet(&self, other: &str) -> String {
        NUMBER.set(9);
        format!("{} {other}", self.name())
    }
}

trait SendService {
    fn call(&self, n: u64) -> impl Future<Output = u64> + Send;
}

impl SendService for Service {
    #[with_copied_context]
    async fn call(&self, n: u64) -> u64 {
        NUMBER.set(n);
        tokio::task::yield_now().await;
        NUMBER.get()
    }
}

#[async_trait::async_trait]
trait Boxed: Sync {
    async fn call(&self, arg: &str) -> String;

    #[with_copied_context]
    async fn provided(&self) -> u64 {
        NUMBER.set(8);
        tokio::task::yield_now().await;
        NUMBER.get()
    }
}

#[async_trait::async_trait]
impl Boxed for Service {
    #[with_copied_context(USER = arg.to_owned() + &self.name)]
    async fn call(&self, arg: &str) -> String {
        NUMBER.set(1);
        tokio::task::yield_now().await;
        format!("{} {arg}", USER.get())
    }
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

/// Functions that a `macro_rules!` writes, of fragments of all kinds.
macro_rules! make {
    ($(#[$attr:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty = $value:expr),*) -> $ret:ty $body:block) => {
        $(#[$attr])*
        #[with_copied_context($(NUMBER = $value),*)]
        $vis async fn $name($($arg: $ty),*) -> $ret $body
    };
    (impl $ty:ty { fn $name:ident($pat:pat => $arg:ty) $body:block }) => {
        #[with_copied_context]
        impl $ty {
            async fn $name(&self, $pat: $arg) -> u64 $body
        }
    };
}

make! {
    /// Docs.
    pub(crate) fn made(a: u64 = a * 2) -> Vec<u64> { vec![a, NUMBER.get()] }
}

make! {
    impl Service { fn made((a, _) => (u64, u64)) { a } }
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

/// A type of the body's own that hides one of the signature's.
#[with_copied_context]
async fn hides_its_type() -> Service {
    use std::string::String as Service;
    super::shapes::Service { calls: 1, name: Service::from("s") }
}

trait Sized2 {
    const N: usize;

    async fn array(&self) -> [u64; 2];
}

impl Sized2 for u64 {
    const N: usize = 2;

    #[with_copied_context]
    async fn array(&self) -> [u64; Self::N] {
        [*self; Self::N]
    }
}

/// Where the crate is found under another path.
mod vendored {
    pub(crate) use contextvar as vars;
}

#[with_copied_context(crate::shapes::NUMBER = 9, crate = crate::shapes::vendored::vars)]
async fn by_another_path() -> u64 {
    NUMBER.get() + ANOTHER.get()
}

#[context_var(crate = crate::shapes::vendored::vars)]
static ANOTHER: u64 = 1;

#[tokio::test]
async fn rarer_shapes() {
    assert!(futures::FutureExt::now_or_never(never_returns(false)).is_none());
    assert_eq!(assert_send(higher_ranked(|text| &text[1..], "abc")).await, 2);
    assert_eq!(configured((1, 2), 3).await, 6);
    assert_eq!(made(4).await, [4, 8]);
    assert_eq!(Service::default().made((5, 6)).await, 5);
    assert_eq!(plain_with_impl(1).unwrap().to_string(), "1");
    assert_eq!(plain_generic(&[1, 2], "").unwrap().len(), 2);
    let foreign: extern "C" fn(u64) -> u64 = foreign;
    assert_eq!(foreign(5), 5);
    assert_eq!(hides_its_type().await.name, "s");
    assert_eq!(7.array().await, [7, 7]);
    assert_eq!(by_another_path().await, 10);
    assert!(!NUMBER.is_set());
}

#[tokio::test]
async fn free_functions() {
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
async fn methods() {
    NUMBER.set(100);
    let mut service = Service { calls: 0, name: "s".to_owned() };
    assert_eq!(assert_send(service.by_ref("!")).await, "s!");
    assert_eq!(assert_send(service.by_mut()).await, 1);
    assert_eq!(service.unused_self().await, 100);
    assert_eq!(service.get_name().await, "s");
    assert_eq!(*service.plain(4), 4);
    assert_eq!(Service::default().by_value().await, "");
    assert_eq!(Service::default().by_mut_value().await.calls, 100);
    assert_eq!(Arc::new(Service::default()).by_arc().await.calls, 0);
    assert_eq!(Box::new(Service::default()).by_box().await, "");
    assert_eq!(Box::pin(Service::default()).as_mut().by_pin().await, 0);
    assert_eq!(service.greet_twice().await, "s hi2");
    assert_eq!(SendService::call(&service, 3).await, 3);
    let boxed: &dyn Boxed = &service;
    assert_eq!(assert_send(boxed.call("b")).await, "bs b");
    assert_eq!(boxed.provided().await, 8);
    assert_eq!(NUMBER.get(), 100);
}

#[tokio::main(flavor = "current_thread")]
#[with_copied_context]
async fn main_above() -> u64 {
    NUMBER.set(3);
    NUMBER.get()
}

#[with_copied_context(NUMBER = 4)]
#[tokio::main(flavor = "current_thread")]
async fn main_below() -> u64 {
    NUMBER.get()
}

#[test]
fn mains() {
    NUMBER.set(2);
    assert_eq!(main_above(), 3);
    assert_eq!(main_below(), 4);
    assert_eq!(NUMBER.get(), 2);
}

#[tokio::test]
#[with_copied_context]
async fn test_above() {
    NUMBER.set(3);
    assert_eq!(plain().await, 1);
}

#[with_copied_context(NUMBER = 4)]
#[tokio::test(flavor = "multi_thread")]
async fn test_below() {
    assert_eq!(NUMBER.get(), 4);
}

/// Names that an expansion must not trip over.
#[allow(dead_code, non_snake_case, unreachable_pub)]
mod somewhere {
    pub mod std {}
    pub mod core {}
    pub struct Future;
    pub struct Result;
    pub struct Option;
    pub struct Box;
    pub fn drop() {}

    #[super::context_var(name = "the list", crate = ::contextvar)]
    #[doc = "Docs stay."]
    pub(in crate::shapes) static LIST: ::std::vec::Vec<u8>;

    #[super::with_copied_context(LIST = ::std::vec![1], crate = ::contextvar)]
    pub async fn shadowed(F: u8, R: u8, a0: u8, context: u8) -> ::std::vec::Vec<u8> {
        let mut list = LIST.get();
        list.extend([F, R, a0, context]);
        list
    }
}

#[tokio::test]
async fn names_that_shadow() {
    assert_eq!(somewhere::shadowed(2, 3, 4, 5).await, [1, 2, 3, 4, 5]);
    assert_eq!(somewhere::LIST.name(), "the list");
}

#[test]
fn statics_in_functions_and_methods() {
    struct S;
    impl S {
        fn method(&self) -> HashMap<u8, u8> {
            #[context_var]
            static MAP: HashMap<u8, u8> = HashMap::from([(1, 2)]);
            MAP.get()
        }
    }

    #[context_var]
    static r#TYPE: &str = if cfg!(unix) { "unix" } else { "other" };

    assert_eq!(S.method()[&1], 2);
    assert_eq!(r#TYPE.name(), "TYPE");
    assert!(!r#TYPE.get().is_empty());
}

/// What a `macro_rules!` hands on as a type or an item comes in a group of its own, parentheses are another.
mod in_groups {
    use std::pin::Pin;

    use super::*;

    #[context_var]
    static COUNT: u64 = 0;

    async fn body() -> u64 {
        COUNT.set(COUNT.get() + 1);
        tokio::task::yield_now().await;
        COUNT.get()
    }

    macro_rules! of_type {
        ($name:ident, $ty:ty) => {
            #[with_copied_context]
            fn $name() -> $ty {
                Box::pin(body())
            }
        };
    }
    of_type!(whole, Pin<Box<dyn Future<Output = u64> + Send>>);

    macro_rules! of_object {
        ($name:ident, $ty:ty) => {
            #[with_copied_context]
            fn $name() -> Pin<Box<$ty>> {
                Box::pin(body())
            }
        };
    }
    of_object!(object, dyn Future<Output = u64> + Send);

    #[rustfmt::skip]
    #[with_copied_context]
    #[allow(unused_parens)]
    fn parenthesised() -> (impl Future<Output = u64>) {
        body()
    }

    #[with_copied_context]
    fn boxed_impl() -> Pin<Box<impl Future<Output = u64>>> {
        Box::pin(body())
    }

    #[with_copied_context]
    fn lifetime_first() -> Pin<Box<dyn 'static + Future<Output = u64>>> {
        Box::pin(body())
    }

    /// Runs in the copy while it is called, as any function does.
    #[with_copied_context]
    fn no_future() -> Pin<Box<u64>> {
        COUNT.set(COUNT.get() + 1);
        Box::pin(COUNT.get())
    }

    macro_rules! items {
        ($($item:item)*) => {
            #[with_copied_context]
            mod items {
                use super::*;
                $($item)*
            }
        };
    }
    items! {
        pub(super) async fn function() -> u64 {
            body().await
        }

        pub(super) struct Type;

        impl Type {
            pub(super) async fn method(&self) -> u64 {
                body().await
            }
        }

        #[with_copied_context(skip)]
        pub(super) async fn left_out() -> u64 {
            body().await
        }
    }

    macro_rules! of_visibility {
        ($vis:vis $name:ident) => {
            #[with_copied_context]
            mod $name {
                $vis async fn function() -> u64 {
                    super::body().await
                }
            }
        };
    }
    of_visibility!(pub(super) visible);

    #[tokio::test]
    async fn they_run_in_the_copy() {
        assert_eq!(visible::function().await, 1);
        assert_eq!(whole().await, 1);
        assert_eq!(object().await, 1);
        assert_eq!(parenthesised().await, 1);
        assert_eq!(boxed_impl().await, 1);
        assert_eq!(lifetime_first().await, 1);
        assert_eq!(*no_future(), 1);
        assert_eq!(items::function().await, 1);
        assert_eq!(items::Type.method().await, 1);
        assert_eq!(COUNT.get(), 0);
        assert_eq!(items::left_out().await, 1);
        assert_eq!(COUNT.get(), 1);
    }
}

/// Other attribute macros see the function as it was written, wherever they stand.
#[test]
fn instrumented() {
    #[context_var]
    static INSIDE: Option<&str> = None;

    fn here() -> Option<&'static str> {
        tracing::Span::current().metadata().map(|span| span.name())
    }

    #[with_copied_context(INSIDE = Some("entry"))]
    #[tracing::instrument(ret)]
    async fn below() -> (Option<&'static str>, Option<&'static str>) {
        tokio::task::yield_now().await;
        (here(), INSIDE.get())
    }

    #[tracing::instrument(err)]
    #[with_copied_context(INSIDE = Some("entry"))]
    async fn above() -> Result<(Option<&'static str>, Option<&'static str>), String> {
        tokio::task::yield_now().await;
        Ok((here(), INSIDE.get()))
    }

    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        futures::executor::block_on(async {
            assert_eq!(below().await, (Some("below"), Some("entry")));
            assert_eq!(above().await.unwrap(), (Some("above"), Some("entry")));
            assert_eq!(INSIDE.get(), None);
        });
    });
}
