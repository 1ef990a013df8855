//! The part of a context variable that the storage uses.

use std::any::{Any, TypeId, type_name};
use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::RefUnwindSafe;

use super::counted::layout;
use super::map::Map;
use super::node::{DEFAULT_COMPUTED, UNASSIGNED, WIDTH};
use super::registry;
use super::value::{Value, Word};
use crate::log::LogValue;
use crate::sync::{AtomicU32, Ordering};

/// A context variable without its default.
///
/// A `Variable<T>` exists only if `T: Send + Sync + 'static`. Code that has one relies on these bounds.
pub(crate) struct Variable<T> {
    name: &'static str,
    /// See [`key`](Self::key).
    key: AtomicU32,
    /// [`UNASSIGNED`] until the first write.
    slot: AtomicU32,
    /// Written when the default has been computed.
    default: DefaultWord,
    debug: Option<FormatFn<T>>,
    /// Shows the value in logs and metrics. `None` if they do not show it.
    show: Option<ShowFn<T>>,
    log: bool,
    metric: bool,
    secret: bool,
    inherit: bool,
    report: bool,
    /// Makes `T` invariant: a `ContextVar<for<'a> fn(&'a u8)>` must not coerce to a
    /// `ContextVar<fn(&'static u8)>`, which would accept values of the wrong type.
    _invariant: PhantomData<fn(T) -> T>,
}

/// An alias of the word of a default. The default itself lives in a static, as its variable does.
struct DefaultWord(UnsafeCell<Word>);

// SAFETY: written once, with a lock held, before a release of the key. Read after an acquire of that key.
unsafe impl Sync for DefaultWord {}
impl RefUnwindSafe for DefaultWord {}

/// `<T as Debug>::fmt` or `<T as Display>::fmt`.
pub(crate) type FormatFn<T> = fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result;

/// Passes a value to `visit`, in the form in which logs and metrics show it. Does not call `visit` if there
/// is nothing to show.
pub(crate) type ShowFn<T> = fn(&T, visit: &mut dyn FnMut(LogValue<'_>));

impl<T> Variable<T> {
    pub(crate) const fn new(name: &'static str) -> Self
    where
        T: Send + Sync + 'static,
    {
        Variable {
            name,
            key: AtomicU32::new(UNASSIGNED),
            slot: AtomicU32::new(UNASSIGNED),
            default: DefaultWord(UnsafeCell::new(Word::UNSET)),
            debug: None,
            show: None,
            log: false,
            metric: false,
            secret: false,
            inherit: true,
            report: true,
            _invariant: PhantomData,
        }
    }

    pub(crate) const fn debug(mut self, debug: Option<FormatFn<T>>) -> Self {
        self.debug = debug;
        self
    }

    pub(crate) const fn show(mut self, show: ShowFn<T>) -> Self {
        self.show = Some(show);
        self
    }

    pub(crate) const fn log(mut self) -> Self {
        self.log = true;
        self
    }

    pub(crate) const fn metric(mut self) -> Self {
        self.metric = true;
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn inherit(mut self, inherit: bool) -> Self {
        self.inherit = inherit;
        self
    }

    pub(crate) const fn report(mut self, report: bool) -> Self {
        self.report = report;
        self
    }

    /// Returns true if accesses without a context are reported.
    #[allow(dead_code, reason = "for feature `report`")]
    pub(crate) fn is_reported(&self) -> bool {
        self.report
    }

    #[allow(dead_code, reason = "for feature `tower`")]
    pub(crate) fn is_secret(&self) -> bool {
        self.secret
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns what a read of a root needs: in the low byte the slot, or 0 if the root does not have the
    /// variable; and [`DEFAULT_COMPUTED`] if a map without a value in the root has none, and the default has been
    /// computed.
    ///
    /// Acquire: synchronizes with the computation of the default. For the slot, relaxed would be enough, as in
    /// [`slot`](Self::slot).
    #[inline]
    pub(super) fn key(&self) -> u32 {
        self.key.load(Ordering::Acquire)
    }

    /// Returns the default.
    ///
    /// # Safety
    /// The [key](Self::key) had [`DEFAULT_COMPUTED`].
    #[inline]
    pub(super) unsafe fn computed_default(&'static self) -> &'static T {
        // SAFETY: `set_default` wrote the word before it stored the flag, and no code writes it again.
        unsafe { (*self.default.0.get()).value() }
    }

    /// Returns the slot, or [`UNASSIGNED`] before the first write.
    ///
    /// Relaxed is enough: a thread that can see a value of this variable has synchronized with the thread
    /// that wrote the value, and that thread knew the slot.
    #[inline]
    pub(super) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }
}

impl<T> Variable<T> {
    /// Passes a value of this variable to `visit` as logs and metrics show it.
    pub(crate) fn show_value(&self, value: &T, visit: &mut dyn FnMut(LogValue<'_>)) {
        if let Some(show) = self.show.filter(|_| !self.secret) {
            show(value, visit);
        }
    }
}

impl<T: 'static> Variable<T> {
    /// Returns the slot, and assigns one if there is none yet.
    #[inline]
    pub(crate) fn slot_for_write(&'static self) -> u32 {
        // Acquire: after this write the thread must see the key as well, which was stored first.
        match self.slot.load(Ordering::Acquire) {
            UNASSIGNED => self.assign_slot(),
            slot => slot,
        }
    }

    /// Takes `&'static self` because from now on the variable must not be moved or dropped: the slot is its
    /// own forever.
    #[cold]
    fn assign_slot(&'static self) -> u32 {
        let mut registry = registry::lock();
        if self.slot() == UNASSIGNED {
            let slot = registry.add(self, self.inherit);
            // A variable below the root has no flag, because the root does not tell whether it is set. A thread that
            // can see a value sees this key or a later one, as it sees the slot.
            let key = if slot < WIDTH { self.key.load(Ordering::Relaxed) | slot } else { 0 };
            self.key.store(key, Ordering::Release);
            self.slot.store(slot, Ordering::Release);
        }
        self.slot()
    }

    /// Lets reads find the default, which has been computed, after a look at the root.
    #[cold]
    pub(crate) fn set_default(&'static self, default: &'static Value<T>) {
        // Excludes `assign_slot`, and other threads that have waited for the same default.
        let _registry = registry::lock();
        let key = self.key();
        if self.slot() < WIDTH && key & DEFAULT_COMPUTED == 0 {
            // SAFETY: no other code uses the word before it sees the flag. The default is never dropped.
            unsafe { *self.default.0.get() = default.alias() };
            self.key.store(key | DEFAULT_COMPUTED, Ordering::Release);
        }
    }
}

/// A [`Variable`] of any type.
pub(crate) trait AnyVariable: Sync {
    fn name(&self) -> &'static str;

    fn type_id(&self) -> TypeId;

    /// Returns true if logs show the variable.
    fn is_logged(&self) -> bool;

    /// Returns true if metrics have the variable as a label.
    fn is_metric(&self) -> bool;

    /// Copies the variable's state from `source` to `target`: the value, or that it is unset.
    ///
    /// Drops the value in `target` if no other map has it.
    fn copy_state(&'static self, source: &Map, target: &mut Map);

    /// Formats a value for `Debug`.
    ///
    /// # Safety
    /// `word` holds a value of this variable.
    unsafe fn fmt_debug(&self, word: &Word, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// Passes a value to `visit` as logs and metrics show it. Does not call `visit` if they do not show it.
    ///
    /// # Safety
    /// `word` holds a value of this variable.
    unsafe fn show(&self, word: &Word, visit: &mut dyn FnMut(LogValue<'_>));

    /// Returns the size in bytes of a value with its count, and of the text or the bytes that it owns if it is a
    /// `String` or a `Vec<u8>`.
    ///
    /// # Safety
    /// `word` holds a value of this variable, which is not inline.
    unsafe fn size(&self, word: &Word) -> usize;
}

impl<T: 'static> AnyVariable for Variable<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn type_id(&self) -> TypeId {
        TypeId::of::<T>()
    }

    fn is_logged(&self) -> bool {
        self.log && !self.secret
    }

    fn is_metric(&self) -> bool {
        self.metric && !self.secret
    }

    fn copy_state(&'static self, source: &Map, target: &mut Map) {
        match source.share(self) {
            None if target.get(self).is_none() => (),
            value => drop(target.write(self, value)),
        }
    }

    unsafe fn fmt_debug(&self, word: &Word, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret {
            return f.write_str("<redacted>");
        }
        match self.debug {
            // SAFETY: the word holds a value of this variable, hence a `T`.
            Some(debug) => debug(unsafe { word.value() }, f),
            None => f.write_str(type_name::<T>()),
        }
    }

    unsafe fn show(&self, word: &Word, visit: &mut dyn FnMut(LogValue<'_>)) {
        // SAFETY: as in `fmt_debug`.
        self.show_value(unsafe { word.value() }, visit);
    }

    unsafe fn size(&self, word: &Word) -> usize {
        // SAFETY: as in `fmt_debug`.
        let value: &dyn Any = unsafe { word.value::<T>() };
        let owned = match (value.downcast_ref::<String>(), value.downcast_ref::<Vec<u8>>()) {
            (Some(text), _) => text.capacity(),
            (_, Some(bytes)) => bytes.capacity(),
            _ => 0,
        };
        layout::<T>().0.size() + owned
    }
}
