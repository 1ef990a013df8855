//! Values, of any type, in a word.
//!
//! The primitive types are kept in the word itself; of others the word has a counted pointer. Which of the
//! two, and of which type, is not noted here: it follows from the variable.

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;

use super::Variable;
use super::counted::Counted;

/// A value of the variable whose slot this stands in.
pub(crate) union Word {
    pub(super) inline: MaybeUninit<u64>,
    pub(super) counted: ManuallyDrop<Counted>,
}

impl Word {
    pub(super) const UNSET: Word = Word { inline: MaybeUninit::uninit() };

    /// Whether this is the very value that `other` is: the same bits, or the same allocation.
    ///
    /// # Safety
    /// Both hold values of one variable, counted ones if `counted`.
    pub(super) unsafe fn is(&self, other: &Word, counted: bool) -> bool {
        // SAFETY: all of an inline word was written by `Stored::new`.
        unsafe {
            if counted {
                self.counted.is_same(&other.counted)
            } else {
                self.inline.assume_init() == other.inline.assume_init()
            }
        }
    }

    /// # Safety
    /// The word holds a value, a `T`, and it came from a [`Stored<T>`].
    #[inline]
    pub(super) unsafe fn value<T: 'static>(&self) -> &T {
        if is_inline::<T>() {
            // SAFETY: `Stored::new` wrote a `T` here, which fits.
            unsafe { &*(&raw const self.inline).cast::<T>() }
        } else {
            // SAFETY: `Stored::new` put a pointer to a `T` here.
            unsafe { self.counted.get() }
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
    #[inline]
    pub(crate) fn new(_: &Variable<T>, value: T) -> Self {
        Stored::from_word(if is_inline::<T>() {
            // All of it, so that words can be compared.
            let mut inline = MaybeUninit::<u64>::zeroed();
            // SAFETY: the inline types are no larger and no more aligned than a `u64`.
            unsafe { inline.as_mut_ptr().cast::<T>().write(value) };
            Word { inline }
        } else {
            Word { counted: ManuallyDrop::new(Counted::new(value)) }
        })
    }

    /// The same value once more.
    ///
    /// # Safety
    /// As for [`Word::value`].
    pub(super) unsafe fn share(word: &Word) -> Self {
        Stored::from_word(if is_inline::<T>() {
            // SAFETY: the word is inline, a value of a type that is `Copy`.
            Word { inline: unsafe { word.inline } }
        } else {
            // SAFETY: the word is a counted pointer.
            Word { counted: unsafe { word.counted.clone() } }
        })
    }

    #[inline]
    pub(super) fn from_word(word: Word) -> Self {
        Stored { word, _value: PhantomData }
    }

    #[inline]
    pub(super) fn into_word(self) -> Word {
        let this = ManuallyDrop::new(self);
        // SAFETY: the word is read once, and the `Stored` it came from is not dropped.
        unsafe { std::ptr::read(&this.word) }
    }
}

impl<T> Deref for Stored<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the word came from a `Stored<T>` or from the slot of a `Variable<T>`.
        unsafe { self.word.value() }
    }
}

impl<T> Drop for Stored<T> {
    #[inline]
    fn drop(&mut self) {
        if !is_inline::<T>() {
            // SAFETY: the word is a counted pointer, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.word.counted) }
        }
    }
}
