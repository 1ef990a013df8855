//! Values, of any type, in a word.
//!
//! The primitive types are kept in the word itself; of others the word has a counted pointer. Which of the
//! two, and of which type, is not noted here: it follows from the variable.

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use super::Variable;

/// A value of the variable whose slot this stands in.
pub(super) union Word {
    pub(super) inline: MaybeUninit<u64>,
    pub(super) heap: ManuallyDrop<Heap>,
}

// SAFETY: a word's value comes out of a `Stored<T>`, which is made with a `Variable<T>` at hand, which is
// made only where `T: Send + Sync`.
unsafe impl Send for Word {}
// SAFETY: as above.
unsafe impl Sync for Word {}

impl Word {
    pub(super) const UNSET: Word = Word { inline: MaybeUninit::uninit() };

    /// # Safety
    /// The word holds a value, a `T`, and it came from a [`Stored<T>`].
    pub(super) unsafe fn value<T: 'static>(&self) -> &T {
        if is_inline::<T>() {
            // SAFETY: `Stored::new` wrote a `T` here, which fits.
            unsafe { &*(&raw const self.inline).cast::<T>() }
        } else {
            // SAFETY: `Stored::new` put a pointer to an `Allocation<T>` here. It lives while the word does.
            unsafe { &(*self.heap.0.cast::<Allocation<T>>().as_ptr()).value }
        }
    }
}

/// Whether a `T` is kept in the word itself. Only types known to be `Copy` can be: a node is copied word by
/// word, and types without drop glue, such as `&mut U`, may still not be duplicated.
#[inline]
pub(super) fn is_inline<T: 'static>() -> bool {
    macro_rules! one_of {
        ($($primitive:ty)*) => { $(TypeId::of::<T>() == TypeId::of::<$primitive>())||* };
    }
    one_of!(bool char u8 u16 u32 u64 usize i8 i16 i32 i64 isize f32 f64)
}

/// A copy of `value` where `T` is one of the types kept inline, which are all `Copy`.
#[inline]
pub(crate) fn copied<T: 'static>(value: &T) -> Option<T> {
    // SAFETY: `T` is `Copy`.
    is_inline::<T>().then(|| unsafe { std::ptr::read(value) })
}

/// A value outside of a map, on its way into or out of one.
pub(crate) struct Stored<T: 'static> {
    word: Word,
    _value: PhantomData<fn() -> T>,
}

impl<T> Stored<T> {
    /// For use with this variable, which shows that `T: Send + Sync`.
    pub(crate) fn new(_: &Variable<T>, value: T) -> Self {
        Stored::from_word(if is_inline::<T>() {
            let mut inline = MaybeUninit::<u64>::uninit();
            // SAFETY: the inline types are no larger and no more aligned than a `u64`.
            unsafe { inline.as_mut_ptr().cast::<T>().write(value) };
            Word { inline }
        } else {
            Word { heap: ManuallyDrop::new(Heap::new(value)) }
        })
    }

    pub(super) fn from_word(word: Word) -> Self {
        Stored { word, _value: PhantomData }
    }

    pub(super) fn into_word(self) -> Word {
        let this = ManuallyDrop::new(self);
        // SAFETY: the word is read once, and the `Stored` it came from is not dropped.
        unsafe { std::ptr::read(&this.word) }
    }
}

impl<T> Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the word came from a `Stored<T>` or from the slot of a `Variable<T>`.
        unsafe { self.word.value() }
    }
}

impl<T> Drop for Stored<T> {
    fn drop(&mut self) {
        if !is_inline::<T>() {
            // SAFETY: the word is a heap value, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.word.heap) }
        }
    }
}

/// A counted pointer to a value of some type, one word wide.
pub(super) struct Heap(NonNull<Header>);

struct Header {
    count: AtomicUsize,
    /// Drops and frees the [`Allocation`] of which this is the header.
    free: unsafe fn(NonNull<Header>),
}

#[repr(C)]
struct Allocation<T> {
    header: Header,
    value: T,
}

impl Heap {
    fn new<T: 'static>(value: T) -> Heap {
        /// # Safety
        /// `header` is that of an `Allocation<T>` made by [`Heap::new`], which nobody has any more.
        unsafe fn free<T>(header: NonNull<Header>) {
            // SAFETY: the allocation came from `Box::into_raw`, and this is its last owner.
            drop(unsafe { Box::from_raw(header.cast::<Allocation<T>>().as_ptr()) });
        }
        let header = Header { count: AtomicUsize::new(1), free: free::<T> };
        let allocation = Box::into_raw(Box::new(Allocation { header, value }));
        // SAFETY: a box is not null.
        Heap(unsafe { NonNull::new_unchecked(allocation.cast()) })
    }

    fn header(&self) -> &Header {
        // SAFETY: the allocation lives while it is counted, and this `Heap` counts.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for Heap {
    fn clone(&self) -> Self {
        // Relaxed, and a limit far from the end, for the reasons that std's `Arc` gives.
        let before = self.header().count.fetch_add(1, Ordering::Relaxed);
        if before > isize::MAX as usize {
            std::process::abort();
        }
        Heap(self.0)
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        let header = self.header();
        if header.count.fetch_sub(1, Ordering::Release) == 1 {
            let free = header.free;
            // All uses by the other owners happened before their release.
            fence(Ordering::Acquire);
            // SAFETY: the count was ours alone.
            unsafe { free(self.0) }
        }
    }
}
