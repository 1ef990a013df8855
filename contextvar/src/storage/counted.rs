//! A counted pointer to a value of any type, one word wide.
//!
//! It takes half the size of an `Arc<dyn Any>`. It has no weak count. That count is what makes `Arc::get_mut`
//! expensive.

use std::alloc::{self, Layout};
use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::mem::{self, ManuallyDrop};
use std::ptr::{self, NonNull};

use super::pool;
use crate::on_drop::OnDrop;
use crate::sync::{AtomicUsize, Ordering};

/// Points to a `T` with a [`Header`] before it. Only the owner of the pointer knows `T`.
///
/// To the value and not to the header, because reads add nothing to the pointer then.
#[repr(transparent)]
pub(super) struct Counted(NonNull<()>);

struct Header {
    count: AtomicUsize,
    /// [`free`] or [`free_nested`] with the type of the value.
    free: unsafe fn(NonNull<()>),
}

/// A node with its count, for a static.
#[repr(C)]
pub(super) struct Fixed<T> {
    header: Header,
    value: T,
}

// SAFETY: it points to a node or to the value of a `Value<T>`. Both are `Send + Sync`: a `Value<T>` is made
// with a `Variable<T>`, which exists only if `T: Send + Sync`.
unsafe impl Send for Counted {}
// SAFETY: as above.
unsafe impl Sync for Counted {}

impl<T> Fixed<T> {
    /// Makes the value of a static. It must never be counted. With a `count` of 0, [`Counted::is_unique`] is
    /// false.
    pub(super) const fn new(value: T, count: AtomicUsize) -> Self {
        const { assert!(layout::<T>().1 == size_of::<Header>(), "the header is before the value") };
        unsafe fn never(_: NonNull<()>) {}
        Fixed { header: Header { count, free: never }, value }
    }
}

/// Returns the layout of the allocation of a `T`, and the offset of the value in it. The header ends there.
pub(super) const fn layout<T>() -> (Layout, usize) {
    match Layout::new::<Header>().extend(Layout::new::<T>()) {
        Ok((layout, offset)) => (layout, offset),
        Err(_) => panic!("the type is too large"),
    }
}

impl Counted {
    #[inline]
    pub(super) fn new<T: 'static>(value: T) -> Counted {
        // Types that cannot hold a context or a token. `String` is the most common one with drop glue.
        let is_leaf = !mem::needs_drop::<T>() || TypeId::of::<T>() == TypeId::of::<String>();
        let free: unsafe fn(NonNull<()>) = if is_leaf { free::<T> } else { free_nested::<T> };
        // SAFETY: the closure gets room for a `T` and fills it.
        unsafe { Counted::allocate(free, |place: *mut T| place.write(value)) }
    }

    /// Allocates a node. A node's drop nests only as deep as its trie, except through values, which
    /// `free_nested` limits.
    ///
    /// # Safety
    /// `init` writes a `T` to the pointer that it gets.
    #[inline]
    pub(super) unsafe fn new_with<T: 'static>(init: impl FnOnce(*mut T)) -> Counted {
        // SAFETY: as the caller promises.
        unsafe { Counted::allocate(free::<T>, init) }
    }

    /// # Safety
    /// `free` is that of a `T`, and `init` writes a `T` to the pointer that it gets.
    #[inline]
    unsafe fn allocate<T: 'static>(free: unsafe fn(NonNull<()>), init: impl FnOnce(*mut T)) -> Counted {
        let (layout, offset) = const { layout::<T>() };
        // SAFETY: the size is not 0, because the allocation has a header. It has room for both, and the header is
        // aligned at the end of its room, because its alignment divides its size and the offset.
        unsafe {
            let allocation = pool::allocate::<T>();
            if allocation.is_null() {
                alloc::handle_alloc_error(layout);
            }
            let value = allocation.add(offset);
            value.cast::<Header>().sub(1).write(Header { count: AtomicUsize::new(1), free });
            init(value.cast());
            Counted(NonNull::new_unchecked(value.cast()))
        }
    }

    /// Returns a pointer to a static. It must never be cloned or dropped.
    pub(super) const fn fixed<T>(fixed: &'static Fixed<T>) -> ManuallyDrop<Counted> {
        let fixed: *const Fixed<T> = fixed;
        // SAFETY: the offset is in the static, and a reference is not null.
        ManuallyDrop::new(Counted(unsafe {
            NonNull::new_unchecked(fixed.byte_add(mem::offset_of!(Fixed<T>, value)).cast_mut().cast())
        }))
    }

    /// # Safety
    /// It points to a `T`.
    #[inline]
    pub(super) unsafe fn get<T>(&self) -> &T {
        // SAFETY: the allocation lives while this `Counted` does.
        unsafe { self.0.cast::<T>().as_ref() }
    }

    /// Returns true if this is the only pointer to the value.
    #[inline]
    pub(super) fn is_unique(&self) -> bool {
        // Acquire: synchronizes with the release of the other owners, so that their uses happened before.
        self.header().count.load(Ordering::Acquire) == 1
    }

    #[allow(dead_code, reason = "for features `hyper` and `tower`")]
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.header().count.load(Ordering::Relaxed)
    }

    /// Returns true if this points to a static.
    #[inline]
    pub(super) fn is_fixed(&self) -> bool {
        self.header().count.load(Ordering::Relaxed) == 0
    }

    /// # Safety
    /// It points to a `T`, and [`is_unique`](Self::is_unique) is true.
    #[inline]
    pub(super) unsafe fn get_mut<T>(&mut self) -> &mut T {
        // SAFETY: as in `get`. No other `Counted` points to it, and this one is borrowed.
        unsafe { self.0.cast::<T>().as_mut() }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: the allocation lives while it is counted, and it counts this pointer.
        unsafe { header_of(self.0).as_ref() }
    }
}

/// # Safety
/// The pointer is that of a [`Counted`].
#[inline]
unsafe fn header_of(value: NonNull<()>) -> NonNull<Header> {
    // SAFETY: the header is before the value.
    unsafe { value.cast::<Header>().sub(1) }
}

impl Clone for Counted {
    #[inline]
    fn clone(&self) -> Self {
        let pointer = self.0;
        // Relaxed, and a limit far below the overflow, for the reasons given at std's `Arc::clone`.
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
        fn free_last(value: NonNull<()>) {
            // SAFETY: the allocation lives until it is freed.
            let header = unsafe { header_of(value).as_ref() };
            // Acquire: the other owners' uses happened before their releases. A load instead of a fence,
            // because ThreadSanitizer does not support fences.
            header.count.load(Ordering::Acquire);
            // SAFETY: the caller released the last count.
            unsafe { (header.free)(value) }
        }

        if self.header().count.fetch_sub(1, Ordering::Release) == 1 {
            free_last(self.0);
        }
    }
}

/// Drops the value and frees its allocation.
///
/// # Safety
/// `value` is a `T` with a header, and no pointer counts it any more.
unsafe fn free<T>(value: NonNull<()>) {
    let (_, offset) = const { layout::<T>() };
    // Also frees it if the drop of the value panics, as `Box` does.
    // SAFETY: `allocate` made the allocation, which is not used again.
    let _free = OnDrop(|| unsafe {
        header_of(value).drop_in_place();
        pool::free::<T>(value.as_ptr().cast::<u8>().sub(offset));
    });
    // SAFETY: the value is initialized, and not used again.
    unsafe { value.cast::<T>().drop_in_place() };
}

/// The greatest depth of nested drops of values on the stack. A chain of contexts, each of which is a value
/// in the next one, can be longer than any stack.
const MAX_DEPTH: u32 = 32;

thread_local! {
    /// The number of values that this thread is dropping within one another.
    static DEPTH: Cell<u32> = const { Cell::new(0) };

    /// The queue of the innermost call that frees allocations at the greatest depth. Null outside of such a
    /// call.
    static QUEUE: Cell<*const FreeQueue> = const { Cell::new(ptr::null()) };
}

/// Does what [`free`] does, with a limit on the use of the stack.
///
/// # Safety
/// As for `free`.
unsafe fn free_nested<T>(value: NonNull<()>) {
    let unowned = Unowned { value, free: free::<T> };
    let depth = DEPTH.get();
    if depth == MAX_DEPTH {
        return unowned.free_in_queue();
    }
    DEPTH.set(depth + 1);
    let _restore_depth = OnDrop(|| DEPTH.set(depth));
    unowned.free_now();
}

/// An allocation that no pointer counts any more.
struct Unowned {
    value: NonNull<()>,
    free: unsafe fn(NonNull<()>),
}

struct FreeQueue(RefCell<Vec<Unowned>>);

impl Unowned {
    fn free_now(self) {
        // SAFETY: `free` is that of the allocation, and this is its only use.
        unsafe { (self.free)(self.value) }
    }

    /// Adds the allocation to the current queue. If there is none, makes one and frees all that is added to
    /// it.
    #[cold]
    fn free_in_queue(self) {
        // SAFETY: the call that set the pointer, further up the stack, resets it before it returns.
        if let Some(queue) = unsafe { QUEUE.get().as_ref() } {
            return queue.0.borrow_mut().push(self);
        }
        let queue = FreeQueue(RefCell::new(vec![self]));
        QUEUE.set(&queue);
        // Continues after a panic, as `Vec` does. Not a `Drop` of `FreeQueue`, which would borrow the queue
        // mutably while the values that are freed push to it.
        let _rest = OnDrop(|| {
            queue.free_all();
            if !ptr::eq(QUEUE.replace(ptr::null()), &queue) {
                // A coroutine has moved the stack of this call to another thread.
                std::process::abort();
            }
        });
        queue.free_all();
    }
}

impl FreeQueue {
    fn free_all(&self) {
        while let Some(unowned) = self.pop() {
            unowned.free_now();
        }
    }

    fn pop(&self) -> Option<Unowned> {
        self.0.borrow_mut().pop()
    }
}
