//! Values of any type in one word.
//!
//! A word holds a value of a primitive type inline, and a counted pointer to a value of any other type. The
//! word does not record the type: the variable determines it.

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;

use super::counted::Counted;
use super::variable::Variable;

/// A value of the variable that owns the word's slot; or a node's pointer to another node.
///
/// Not a union of both, which the compiler would pass in memory and not in a register.
#[repr(transparent)]
pub(crate) struct Word(MaybeUninit<Bits>);

// SAFETY: it holds a value of one of the inline types, or a `Counted`, which is `Send + Sync`.
unsafe impl Send for Word {}
// SAFETY: as above.
unsafe impl Sync for Word {}

/// The type that holds a pointer as well as a `u64`.
#[cfg(target_pointer_width = "64")]
type Bits = *mut ();
#[cfg(not(target_pointer_width = "64"))]
type Bits = u64;

impl Word {
    pub(super) const UNSET: Word = Word(MaybeUninit::uninit());

    pub(super) fn of_counted(counted: Counted) -> Word {
        // Zeroed, because `is_same` compares all bytes, and a pointer can be shorter.
        let mut word = Word(MaybeUninit::zeroed());
        // SAFETY: a word is at least as large as a pointer, and as aligned.
        unsafe { word.0.as_mut_ptr().cast::<Counted>().write(counted) };
        word
    }

    /// # Safety
    /// The word is a counted pointer.
    #[inline]
    pub(super) unsafe fn counted(&self) -> &Counted {
        // SAFETY: `of_counted` wrote it.
        unsafe { &*self.0.as_ptr().cast::<Counted>() }
    }

    /// # Safety
    /// The word is a counted pointer.
    #[inline]
    pub(super) unsafe fn counted_mut(&mut self) -> &mut ManuallyDrop<Counted> {
        // SAFETY: as above.
        unsafe { &mut *self.0.as_mut_ptr().cast::<ManuallyDrop<Counted>>() }
    }

    /// Returns true if the two words hold the same value: the same bits, or the same allocation.
    ///
    /// # Safety
    /// Both words hold values of one variable.
    pub(super) unsafe fn is_same(&self, other: &Word) -> bool {
        // SAFETY: `Value::new` initialized all bytes.
        unsafe { self.0.assume_init() == other.0.assume_init() }
    }

    /// # Safety
    /// The word came from a [`Value<T>`].
    #[inline]
    pub(super) unsafe fn value<T: 'static>(&self) -> &T {
        if is_inline::<T>() {
            // SAFETY: `Value::new` wrote a `T` into the word, which is large enough.
            unsafe { &*self.0.as_ptr().cast::<T>() }
        } else {
            // SAFETY: `Value::new` stored a pointer to a `T`.
            unsafe { self.counted().get() }
        }
    }
}

/// Returns true if a word holds a `T` inline. The types must be known to be `Copy`, because nodes are copied
/// word by word. That a type has no drop glue is not enough: `&mut U` has none and must not be duplicated.
#[inline]
pub(super) fn is_inline<T: 'static>() -> bool {
    macro_rules! one_of {
        ($($primitive:ty)*) => { $(TypeId::of::<T>() == TypeId::of::<$primitive>())||* };
    }
    one_of!(bool char u8 u16 u32 u64 usize i8 i16 i32 i64 isize f32 f64)
}

/// Returns a copy of `value` if `T` is one of the inline types, which are all `Copy`.
#[inline]
pub(crate) fn copy_inline<T: 'static>(value: &T) -> Option<T> {
    // SAFETY: `T` is `Copy`.
    is_inline::<T>().then(|| unsafe { std::ptr::read(value) })
}

/// A value that is not in a map: it has not been set yet, or has been taken out.
pub(crate) struct Value<T: 'static> {
    word: Word,
    _value: PhantomData<fn() -> T>,
}

impl<T> Value<T> {
    /// Wraps a value. The variable proves that `T: Send + Sync`.
    #[inline]
    pub(crate) fn new(_: &Variable<T>, value: T) -> Self {
        Value::from_word(if is_inline::<T>() {
            // Zeroed, because `is_same` compares all bytes.
            let mut word = Word(MaybeUninit::zeroed());
            // SAFETY: the inline types are no larger and no more aligned than a `u64`.
            unsafe { word.0.as_mut_ptr().cast::<T>().write(value) };
            word
        } else {
            Word::of_counted(Counted::new(value))
        })
    }

    /// Returns a second owner of the value in `word`.
    ///
    /// # Safety
    /// As for [`Word::value`].
    pub(super) unsafe fn share(word: &Word) -> Self {
        Value::from_word(if is_inline::<T>() {
            Word(word.0)
        } else {
            // SAFETY: the word is a counted pointer.
            Word::of_counted(unsafe { word.counted() }.clone())
        })
    }

    /// Returns the same word without counting it.
    ///
    /// # Safety
    /// It is used only while this value lives.
    pub(super) unsafe fn alias(&self) -> Word {
        Word(self.word.0)
    }

    /// Returns the number of owners of a value that is not inline.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        assert!(!is_inline::<T>());
        // SAFETY: the word is a counted pointer.
        unsafe { self.word.counted() }.count()
    }

    #[inline]
    pub(super) fn from_word(word: Word) -> Self {
        Value { word, _value: PhantomData }
    }

    #[inline]
    pub(super) fn into_word(self) -> Word {
        Word(ManuallyDrop::new(self).word.0)
    }
}

impl<T> Deref for Value<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the word came from a `Value<T>` or from the slot of a `Variable<T>`.
        unsafe { self.word.value() }
    }
}

impl<T> Drop for Value<T> {
    #[inline]
    fn drop(&mut self) {
        if !is_inline::<T>() {
            // SAFETY: the word is a counted pointer, and not used again.
            unsafe { ManuallyDrop::drop(self.word.counted_mut()) }
        }
    }
}
