//! `#[with_copied_context]` on methods.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String = "nobody".to_owned();

#[context_var]
static NUMBER: u64 = 0;

fn assert_send<T: Send>(value: T) -> T {
    value
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

#[tokio::test]
async fn every_kind_of_receiver() {
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
    assert_eq!(7.array().await, [7, 7]);
    assert_eq!(NUMBER.get(), 100);
}
