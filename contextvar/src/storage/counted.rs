//! A counted pointer to a value of any type, one word wide: `Arc<dyn Any>` in half the size, and without the
//! weak count that makes asking for a sole owner expensive.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};

use super::sync::{AtomicUsize, Ordering};

/// Points to the header of an `Allocation<T>` with a `T` that only the owner of the pointer knows.
#[repr(transparent)]
pub(super) struct Counted(NonNull<Header>);

struct Header {
    count: AtomicUsize,
    /// [`free`], or [`free_nested`], for the [`Allocation`] of which this is the header.
    free: unsafe fn(NonNull<Header>),
}

/// A value with its count.
#[repr(C)]
pub(super) struct Allocation<T> {
    header: Header,
    value: T,
}

// SAFETY: what `Counted` points to is `Send + Sync`: a node, or the value of a `Stored<T>`, which is made
// with a `Variable<T>` at hand, which is made only where `T: Send + Sync`.
unsafe impl Send for Counted {}
// SAFETY: as above.
unsafe impl Sync for Counted {}

impl<T> Allocation<T> {
    /// One for a static. It is never to be counted; its `count` of 0 is nobody's sole property.
    pub(super) const fn fixed(value: T, count: AtomicUsize) -> Self {
        unsafe fn never(_: NonNull<Header>) {}
        Allocation { header: Header { count, free: never }, value }
    }
}

impl Counted {
    #[inline]
    pub(super) fn new<T: 'static>(value: T) -> Counted {
        // Types that are known to hold no context and no token, the most common one among them.
        let is_leaf = !mem::needs_drop::<T>() || TypeId::of::<T>() == TypeId::of::<String>();
        let free: unsafe fn(NonNull<Header>) = if is_leaf { free::<T> } else { free_nested::<T> };
        // SAFETY: the place is there for a `T`.
        unsafe { Counted::allocate(free, |place: *mut T| place.write(value)) }
    }

    /// For a node, which frees others only through the values in it.
    ///
    /// # Safety
    /// `init` writes a `T` to the place that it gets.
    #[inline]
    pub(super) unsafe fn new_with<T: 'static>(init: impl FnOnce(*mut T)) -> Counted {
        // SAFETY: as the caller promises.
        unsafe { Counted::allocate(free::<T>, init) }
    }

    /// # Safety
    /// `free` frees an `Allocation<T>`, and `init` writes a `T` to the place that it gets.
    #[inline]
    unsafe fn allocate<T: 'static>(free: unsafe fn(NonNull<Header>), init: impl FnOnce(*mut T)) -> Counted {
        let allocation = Box::into_raw(Box::<Allocation<T>>::new_uninit()).cast::<Allocation<T>>();
        // SAFETY: the allocation is there, for both parts, and a box is not null.
        unsafe {
            (&raw mut (*allocation).header).write(Header { count: AtomicUsize::new(1), free });
            init(&raw mut (*allocation).value);
            Counted(NonNull::new_unchecked(allocation.cast()))
        }
    }

    /// A pointer to a static, which is never to be cloned or dropped.
    pub(super) const fn fixed<T>(allocation: &'static Allocation<T>) -> ManuallyDrop<Counted> {
        let allocation: *const Allocation<T> = allocation;
        // SAFETY: a reference is not null.
        ManuallyDrop::new(Counted(unsafe { NonNull::new_unchecked(allocation.cast_mut().cast()) }))
    }

    #[inline]
    pub(super) fn is(&self, allocation: *const Allocation<impl Sized>) -> bool {
        ptr::addr_eq(self.0.as_ptr(), allocation)
    }

    #[inline]
    pub(super) fn is_same(&self, other: &Counted) -> bool {
        self.0 == other.0
    }

    /// # Safety
    /// It points to a `T`.
    #[inline]
    pub(super) unsafe fn get<T>(&self) -> &T {
        // SAFETY: the allocation lives while this `Counted` does.
        unsafe { &(*self.0.cast::<Allocation<T>>().as_ptr()).value }
    }

    /// Whether nobody else has the value.
    #[inline]
    pub(super) fn is_unique(&self) -> bool {
        // Acquire: what the other owners did was before they released it.
        self.header().count.load(Ordering::Acquire) == 1
    }

    /// # Safety
    /// It points to a `T`, and [`is_unique`](Self::is_unique) is true.
    #[inline]
    pub(super) unsafe fn get_mut<T>(&mut self) -> &mut T {
        // SAFETY: as in `get`. No other `Counted` points to it, and this one is borrowed.
        unsafe { &mut (*self.0.cast::<Allocation<T>>().as_ptr()).value }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the allocation lives while it is counted, and this `Counted` counts.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for Counted {
    #[inline]
    fn clone(&self) -> Self {
        let pointer = self.0;
        // Relaxed, and a limit far from the end, for the reasons that std's `Arc` gives.
        let before = self.header().count.fetch_add(1, Ordering::Relaxed);
        if before > isize::MAX as usize {
            std::process::abort();
        }
        Counted(pointer)
    }
}

impl Drop for Counted {
    #[inline]
    fn drop(&mut self) {
        #[inline(never)]
        fn last(allocation: NonNull<Header>) {
            // SAFETY: the allocation lives until it is freed.
            let header = unsafe { allocation.as_ref() };
            // Acquire: all uses by the other owners happened before their release. A load and not a fence, which
            // ThreadSanitizer does not know.
            header.count.load(Ordering::Acquire);
            // SAFETY: the count was the caller's alone.
            unsafe { (header.free)(allocation) }
        }

        if self.header().count.fetch_sub(1, Ordering::Release) == 1 {
            last(self.0);
        }
    }
}

/// Drops the value and frees its allocation.
///
/// # Safety
/// `header` is that of an `Allocation<T>` that has no owner any more.
unsafe fn free<T>(header: NonNull<Header>) {
    // SAFETY: the allocation came from `Box::into_raw`.
    drop(unsafe { Box::from_raw(header.cast::<Allocation<T>>().as_ptr()) });
}

/// How many values can be dropped within one another. A chain of contexts, each of which is a value in the next one, can
/// be of any length; the stack can't.
const DEEPEST: u32 = 32;

thread_local! {
    /// How many values this thread is dropping within one another.
    static DEPTH: Cell<u32> = const { Cell::new(0) };

    /// The allocations that the innermost call at the greatest depth has yet to free. Null outside of such a call.
    static WAITING: Cell<*const Waiting> = const { Cell::new(ptr::null()) };
}

/// Does what [`free`] does, with a limit on the depth of the stack.
///
/// # Safety
/// As for `free`.
unsafe fn free_nested<T>(header: NonNull<Header>) {
    /// Sets the depth back, also on a panic.
    struct Depth(u32);

    impl Drop for Depth {
        fn drop(&mut self) {
            DEPTH.set(self.0);
        }
    }

    let waits = Waits { header, free: free::<T> };
    let depth = DEPTH.get();
    if depth == DEEPEST {
        return waits.free_after_others();
    }
    DEPTH.set(depth + 1);
    let _depth = Depth(depth);
    waits.free_now();
}

/// An allocation that has no owner any more.
struct Waits {
    header: NonNull<Header>,
    free: unsafe fn(NonNull<Header>),
}

struct Waiting(RefCell<Vec<Waits>>);

impl Waits {
    fn free_now(self) {
        // SAFETY: `free` is that of the allocation, and this is its only use.
        unsafe { (self.free)(self.header) }
    }

    /// Leaves the allocation to the innermost call of this function; or frees it, and then all that are left to it.
    #[cold]
    fn free_after_others(self) {
        // SAFETY: it is reset before the call that has set it returns, which is further up the stack.
        if let Some(waiting) = unsafe { WAITING.get().as_ref() } {
            return waiting.0.borrow_mut().push(self);
        }
        let waiting = Waiting(RefCell::new(vec![self]));
        WAITING.set(&waiting);
        let rest = FreeRest(&waiting);
        waiting.free_all();
        drop(rest);
    }
}

impl Waiting {
    fn free_all(&self) {
        while let Some(waits) = self.next() {
            waits.free_now();
        }
    }

    fn next(&self) -> Option<Waits> {
        self.0.borrow_mut().pop()
    }
}

/// Goes on after a panic, as `Vec` does, and resets `WAITING`. Not a `Drop` of `Waiting`, which would have it mutably while
/// what is freed pushes to it.
struct FreeRest<'a>(&'a Waiting);

impl Drop for FreeRest<'_> {
    fn drop(&mut self) {
        self.0.free_all();
        if !ptr::eq(WAITING.replace(ptr::null()), self.0) {
            // A coroutine has taken the stack of this call to another thread.
            std::process::abort();
        }
    }
}
