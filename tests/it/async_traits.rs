//! `#[with_copied_context]` beside `#[async_trait]`.

use contextvar::{context_var, with_copied_context};
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

#[async_trait::async_trait]
trait Boxed: Sync {
    async fn call(&self, n: u64) -> u64;

    fn not_async(&self) -> u64 {
        NUMBER.set(NUMBER.get() + 1);
        NUMBER.get()
    }
}

struct Above;
struct Below;
struct OnMethods;

#[async_trait::async_trait]
#[with_copied_context(NUMBER = NUMBER.get() + 100)]
impl Boxed for Above {
    async fn call(&self, n: u64) -> u64 {
        add(n).await
    }
}

#[with_copied_context(NUMBER = NUMBER.get() + 100)]
#[async_trait::async_trait]
impl Boxed for Below {
    async fn call(&self, n: u64) -> u64 {
        add(n).await
    }
}

#[async_trait::async_trait]
impl Boxed for OnMethods {
    #[with_copied_context(NUMBER = NUMBER.get() + n)]
    async fn call(&self, n: u64) -> u64 {
        add(n * 10).await
    }
}

#[test]
fn both_orders_of_the_attributes_copy() {
    on_both_flavors(|| async {
        for service in [&Above as &dyn Boxed, &Below, &OnMethods] {
            NUMBER.set(1);
            let future = service.call(10);
            NUMBER.set(2);
            assert_eq!(future.await, 111);
            assert_eq!(NUMBER.get(), 2);
            assert_eq!(service.not_async(), 3);
        }
    });
}

#[with_copied_context]
async fn annotated(n: u64) -> u64 {
    add(n).await
}

/// The box that `#[async_trait]` allocates holds the `Scoped`: there is no second box.
#[test]
fn a_future_is_boxed_once() {
    struct Counting;
    thread_local! {
        static ALLOCATIONS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }
    // SAFETY: the system's allocator does it.
    unsafe impl std::alloc::GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: std::alloc::Layout) -> *mut u8 {
            ALLOCATIONS.set(ALLOCATIONS.get() + 1);
            // SAFETY: the caller's.
            unsafe { std::alloc::System.alloc(layout) }
        }
        unsafe fn dealloc(&self, pointer: *mut u8, layout: std::alloc::Layout) {
            // SAFETY: the caller's.
            unsafe { std::alloc::System.dealloc(pointer, layout) }
        }
    }
    #[global_allocator]
    static ALLOCATOR: Counting = Counting;

    fn allocations<R>(f: impl FnOnce() -> R) -> u64 {
        let before = ALLOCATIONS.get();
        let result = f();
        let after = ALLOCATIONS.get();
        drop(result);
        after - before
    }
    assert_eq!(allocations(|| Above.call(1)), 1);
    assert_eq!(allocations(|| Below.call(1)), 1);
    assert_eq!(allocations(|| OnMethods.call(1)), 1);
    assert_eq!(allocations(|| annotated(1)), 0);
}
