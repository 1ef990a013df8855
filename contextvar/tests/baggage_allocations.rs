//! How often baggage allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use contextvar::{Context, baggage, context_var};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: the system's allocator does it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
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

#[context_var(baggage = "cost.a")]
static A: u64;

#[context_var(baggage = "cost.b")]
static B: u64;

#[context_var(baggage = "cost.c")]
static C: u64;

#[test]
fn baggage_allocates_only_what_it_keeps() {
    let request = |header| http::Request::builder().header("baggage", header).body(()).unwrap();
    let declared = request("cost.a=1,cost.b=%32,cost.c=3;p=1");
    let with_undeclared = request("cost.a=1,session=s1,cost.b=2,cost.c=3,x=y;p=1");
    let nothing = request("");
    // The first use sorts the keys, assigns slots, and makes OpenTelemetry's thread-local.
    Context::new().run(|| {
        baggage::extract_headers(with_undeclared.headers());
        baggage::headers()
    });

    let extract = |request: &http::Request<()>| {
        let mut context = Context::new();
        allocations(|| context.run(|| baggage::extract_headers(request.headers())))
    };
    assert_eq!(extract(&nothing), 0);
    // A decoded value. The context's node is a block that the thread has kept.
    assert_eq!(extract(&declared), 1);
    // The kept text with one reallocation. Its place in the context is a kept block, too.
    assert_eq!(extract(&with_undeclared), 2);

    let inject = |request: &http::Request<()>| {
        let mut context = Context::new();
        context.run(|| baggage::extract_headers(request.headers()));
        let mut headers = request.headers().clone();
        allocations(|| context.run(|| baggage::inject_headers(&mut headers)))
    };
    assert_eq!(inject(&nothing), 0);
    // The text, and the header value around it.
    assert_eq!(inject(&declared), 2);
    // The declared variables, which have the first claim to the room, and the whole text, which needs no
    // other allocation because its size is known.
    assert_eq!(inject(&with_undeclared), 2);
}
