//! `#[with_copied_context]` on impl blocks, traits and modules.

use contextvar::{context_var, with_copied_context};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::yield_now;

use crate::support::on_both_flavors;

#[context_var]
static NUMBER: u64 = 0;

/// Adds to the number, yields to other tasks, and returns the number.
async fn add(n: u64) -> u64 {
    NUMBER.set(NUMBER.get() + n);
    yield_now().await;
    NUMBER.get()
}

struct Service<const N: u64>;

#[with_copied_context]
impl Service<{ 1 + 1 }> {
    #![allow(clippy::unused_async)]

    const STEP: u64 = { 10 };

    /// Documentation is kept.
    async fn annotated(&self) -> u64 {
        add(Self::STEP).await
    }

    #[with_copied_context(skip)]
    async fn left_out(&self) -> u64 {
        add(Self::STEP).await
    }

    #[with_copied_context(NUMBER = 100)]
    async fn with_its_own(&self) -> u64 {
        add(Self::STEP).await
    }

    fn boxed(&self) -> BoxFuture<'_, u64> {
        Box::pin(add(Self::STEP))
    }

    fn plain(&self) -> u64 {
        add(Self::STEP).now_or_never().unwrap_or_else(|| NUMBER.get())
    }
}

#[test]
fn each_function_of_an_impl_copies() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let service = Service::<2>;
        assert_eq!(service.annotated().await, 11);
        assert_eq!(service.with_its_own().await, 110);
        assert_eq!(service.boxed().await, 11);
        assert_eq!(NUMBER.get(), 1);
        // The copy is taken at the call.
        let future = service.annotated();
        NUMBER.set(2);
        assert_eq!(future.await, 11);
        assert_eq!(service.left_out().await, 12);
        assert_eq!(NUMBER.get(), 12);
        // A function that is not async and returns no future is left alone.
        assert_eq!(service.plain(), 22);
        assert_eq!(NUMBER.get(), 22);
    });
}

#[with_copied_context(NUMBER = NUMBER.get() + 1000)]
trait Greeter {
    const STEP: u64;

    async fn required(&self) -> u64;

    async fn provided(&self) -> u64 {
        add(Self::STEP).await + self.required().await
    }
}

#[with_copied_context]
impl Greeter for u64 {
    const STEP: u64 = 10;

    async fn required(&self) -> u64 {
        add(*self).await
    }
}

#[test]
fn required_and_provided_methods_of_a_trait_copy() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        assert_eq!(100.required().await, 101);
        assert_eq!(100.provided().await, 1011 + 1111);
        assert_eq!(NUMBER.get(), 1);
    });
}

#[with_copied_context]
mod module {
    #![allow(dead_code)]

    use super::{Greeter, add};

    pub(super) struct Inner;

    const _: () = {
        const fn f() {}
        f()
    };

    static TABLE: &[u64] = &{ [1, 2] };

    macro_rules! ten {
        () => {
            10
        };
    }

    unsafe extern "C" {
        fn abs(n: i32) -> i32;
    }

    pub(super) async fn free() -> u64 {
        add(TABLE[0]).await
    }

    #[with_copied_context(skip)]
    pub(super) async fn left_out() -> u64 {
        add(ten!()).await
    }

    impl Inner {
        pub(super) async fn method(&self) -> u64 {
            add(TABLE[1]).await
        }
    }

    #[with_copied_context(skip)]
    impl Greeter for Inner {
        const STEP: u64 = 5;

        async fn required(&self) -> u64 {
            add(5).await
        }
    }

    impl Greeter for (Inner, [u8; 2]) {
        const STEP: u64 = 6;

        async fn required(&self) -> u64 {
            add(6).await
        }
    }

    impl super::Service<{ 2 + 1 }> {
        pub(super) async fn third() -> u64 {
            add(7).await
        }
    }

    pub(super) mod nested {
        pub(in super::super) async fn free() -> u64 {
            super::add(3).await
        }
    }
}

#[test]
fn each_function_of_a_module_copies() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        assert_eq!(module::free().await, 2);
        assert_eq!(module::Inner.method().await, 3);
        assert_eq!(module::nested::free().await, 4);
        assert_eq!((module::Inner, [0; 2]).required().await, 7);
        assert_eq!(Service::<3>::third().await, 8);
        assert_eq!(NUMBER.get(), 1);
        assert_eq!(module::left_out().await, 11);
        assert_eq!(NUMBER.get(), 11);
        assert_eq!(module::Inner.required().await, 16);
        assert_eq!(NUMBER.get(), 16);
    });
}

/// A module can declare a trait whose implementations have their own attributes.
#[with_copied_context]
mod declared_beside_its_implementation {
    pub(super) trait Service {
        async fn call(&self) -> u8;
    }

    pub(super) struct Server;

    #[contextvar::with_copied_context]
    impl Service for Server {
        async fn call(&self) -> u8 {
            1
        }
    }
}

#[tokio::test]
async fn a_module_can_declare_a_trait() {
    use declared_beside_its_implementation::{Server, Service};
    assert_eq!(Server.call().await, 1);
}

/// A trait whose only function with a body has its own attribute.
#[with_copied_context]
trait SpeaksForItself {
    async fn declared(&self) -> u8;

    #[with_copied_context(skip)]
    async fn skipped(&self) -> u8 {
        NUMBER_OF_MAIN.set(2);
        self.declared().await
    }
}

impl SpeaksForItself for () {
    async fn declared(&self) -> u8 {
        NUMBER_OF_MAIN.get()
    }
}

#[context_var]
static NUMBER_OF_MAIN: u8 = 0;

struct Program;

#[with_copied_context]
impl Program {
    /// A method, not the program's `main`: the copy is taken at the call.
    async fn main() -> u8 {
        NUMBER_OF_MAIN.get()
    }
}

#[tokio::test]
async fn a_method_can_be_called_main() {
    let called = NUMBER_OF_MAIN.sync_scope(1, Program::main);
    assert_eq!(NUMBER_OF_MAIN.scope(2, called).await, 1);
    // `skipped` writes to its caller's context, the context of this test.
    assert_eq!(NUMBER_OF_MAIN.scope(1, ().skipped()).await, 2);
}
