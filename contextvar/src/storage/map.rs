//! The persistent map behind every context.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;

use super::counted::{Counted, Fixed};
use super::node::{Node, WIDTH};
use super::registry::{self, Registered, Shown};
use super::value::{Value, Word, is_inline};
use super::variable::{AnyVariable, Variable};
use crate::log::LogValue;
use crate::sync::AtomicUsize;

/// A persistent map from variables to values.
#[repr(transparent)]
pub(crate) struct Map {
    /// Points to a node. In a map that was never written it points to a static, so that readers need no check
    /// for null.
    root: ManuallyDrop<Counted>,
}

static EMPTY: Fixed<Node> = Fixed::new(Node::VACANT, AtomicUsize::new(0));
static LOST: Fixed<Node> = Fixed::new(Node::VACANT_AND_LOST, AtomicUsize::new(0));

/// The nodes that a write replaced. If this is their last owner, its drop drops values, which runs user code:
/// drop it only after the write is complete.
pub(crate) struct Replaced {
    _nodes: Option<Counted>,
}

impl Map {
    pub(crate) const EMPTY: Map = Map { root: Counted::fixed(&EMPTY) };

    /// An empty map that is [lost](Self::is_lost).
    pub(crate) const LOST: Map = Map { root: Counted::fixed(&LOST) };

    #[inline]
    pub(crate) fn get<T: 'static>(&self, variable: &Variable<T>) -> Option<&T> {
        let word = self.word(variable.slot())?;
        // SAFETY: a slot belongs to one variable, and only `Place::replace` fills it, from a `Value<T>`.
        Some(unsafe { word.value() })
    }

    /// Returns what the root says about a variable.
    #[inline]
    pub(crate) fn look_up<T: 'static>(&self, variable: &'static Variable<T>) -> LookUp<'_, T> {
        let key = variable.key();
        // SAFETY: it is a key.
        if let Some(word) = unsafe { self.root().word_of_key(key) } {
            // SAFETY: as in `get`.
            LookUp::Value(unsafe { word.value() })
        } else if self.root().has_default(key) {
            // SAFETY: the key says that the default has been computed.
            LookUp::Default(unsafe { variable.computed_default() })
        } else {
            LookUp::Unknown
        }
    }

    /// Returns the value of a variable that the root does not have.
    #[inline]
    pub(crate) fn get_below_root<T: 'static>(&self, variable: &Variable<T>) -> Option<&T> {
        let word = self.root().nested_word(variable.slot())?;
        // SAFETY: as in `get`.
        Some(unsafe { word.value() })
    }

    /// Returns the variable's value, which this map keeps as well.
    pub(super) fn share<T: 'static>(&self, variable: &Variable<T>) -> Option<Value<T>> {
        let word = self.word(variable.slot())?;
        // SAFETY: as in `get`.
        Some(unsafe { Value::share(word) })
    }

    #[inline]
    fn word(&self, slot: u32) -> Option<&Word> {
        if slot < WIDTH { self.root().own_word(slot) } else { self.root().nested_word(slot) }
    }

    /// Returns true if the map was never written.
    #[inline]
    pub(crate) fn is_vacant(&self) -> bool {
        self.root().is_vacant_or_has_keeper() && self.root.is_fixed()
    }

    /// Returns a copy with counts of its own: to copy the copy and to write the result changes no count that this
    /// map's other copies use. Its values in the root stay alive until the last map that comes from it is dropped.
    #[allow(dead_code, reason = "for feature `tower`")]
    pub(crate) fn with_own_counts(&self) -> Map {
        if self.is_vacant() {
            return self.clone();
        }
        Map { root: ManuallyDrop::new(self.root().copy_with_keeper()) }
    }

    /// Returns true if the map is that of a copy that was taken where there was no context, or comes from
    /// such a copy by writes and further copies.
    #[inline]
    pub(crate) fn is_lost(&self) -> bool {
        self.root().is_lost()
    }

    /// Returns an empty map. It is [lost](Self::is_lost) if this one is.
    pub(crate) fn without_values(&self) -> Map {
        if self.is_lost() { Map::LOST } else { Map::EMPTY }
    }

    #[inline]
    pub(super) fn root(&self) -> &Node {
        // SAFETY: the root is a node.
        unsafe { self.root.get() }
    }

    /// Returns the same map without counting it.
    ///
    /// # Safety
    /// The alias is used only until this map's root is replaced or dropped.
    #[inline]
    pub(crate) unsafe fn alias(&self) -> ManuallyDrop<Map> {
        // SAFETY: `ManuallyDrop` prevents a second drop.
        ManuallyDrop::new(Map { root: unsafe { ptr::read(&self.root) } })
    }

    /// Returns the variable's place if it is in the root, no other map shares the root, and no keeper has the value.
    #[inline]
    pub(crate) fn unshared_place<T: 'static>(
        &mut self,
        variable: &'static Variable<T>,
    ) -> Option<Place<'_, T>> {
        let slot = variable.key() % WIDTH;
        if slot != 0 && self.root.is_unique() && (is_inline::<T>() || !self.root().is_vacant_or_has_keeper())
        {
            // SAFETY: the root is a node, and unique.
            Some(Place { node: unsafe { self.root.get_mut() }, slot, variable: PhantomData })
        } else {
            None
        }
    }

    /// Sets the variable to `new`, or unsets it, and returns the old value and the nodes that were replaced.
    ///
    /// Runs no user code: that runs when the caller drops what this returns.
    #[inline(always)]
    pub(crate) fn write<T: 'static>(
        &mut self,
        variable: &'static Variable<T>,
        new: Option<Value<T>>,
    ) -> (Option<Value<T>>, Replaced) {
        let mut replaced = None;
        let (node, slot) = Node::unshare_path(&mut self.root, variable.slot_for_write(), &mut replaced);
        if !is_inline::<T>() {
            // SAFETY: the slot is that of the variable.
            unsafe { node.count_kept_value(slot) };
        }
        let old = Place { node, slot, variable: PhantomData }.replace(new);
        (old, Replaced { _nodes: replaced })
    }

    /// Returns this map without the values of variables that are not inherited. These values are all below
    /// one node, so the time does not depend on their number.
    #[inline]
    pub(crate) fn inherited(mut self) -> Map {
        if self.root().is_all_inherited() {
            return self;
        }
        let mut replaced = None;
        let not_inherited = Node::take_not_inherited(&mut self.root, &mut replaced);
        // The write is complete.
        drop((not_inherited, replaced));
        self
    }

    #[cfg(test)]
    #[allow(dead_code, reason = "for feature `tower`")]
    pub(crate) fn has_own_counts(&self) -> bool {
        self.root().is_vacant_or_has_keeper() && !self.is_vacant()
    }

    pub(crate) fn len(&self) -> usize {
        self.root().len(1)
    }

    /// Returns the variables whose state differs from that in `base`. Takes time proportional to the number of
    /// changes.
    pub(crate) fn changes_since(&self, base: &Map, changes: Changes) -> Vec<&'static dyn AnyVariable> {
        let mut slots = Vec::new();
        if !ptr::eq(self.root(), base.root()) {
            self.root().for_each_change(base.root(), changes, 0, 1, &mut |slot| {
                if changes != Changes::AllExcept(slot) {
                    slots.push(slot);
                }
            });
        }
        if slots.is_empty() {
            return Vec::new();
        }
        let registry = registry::lock();
        slots.into_iter().map(|slot| registry.variable(slot).variable).collect()
    }

    /// Returns the size in bytes of what only this map keeps alive, if it has `owners` copies in all: its nodes,
    /// and its values as far as [`AnyVariable::size`] says.
    #[allow(dead_code, reason = "for feature `inspect`")]
    pub(crate) fn own_size(&self, owners: usize) -> usize {
        if self.is_vacant() || self.root.count() > owners {
            return 0;
        }
        let registry = registry::lock();
        let mut size = 0;
        self.root().for_each_own_word(0, 1, &mut |slot, word| {
            // SAFETY: the word is in the variable's slot.
            size += slot.map_or(Node::SIZE, |slot| unsafe { registry.variable(slot).variable.size(word) });
        });
        Node::SIZE + size
    }

    /// Returns the entry of the variable, if it is set.
    #[inline]
    pub(crate) fn entry(&self, shown: &Shown) -> Option<Entry<'_>> {
        Some(Entry { variable: shown.variable, word: self.word(shown.slot)? })
    }

    /// Returns all entries, in the order in which the process first wrote their variables.
    pub(crate) fn entries(&self) -> Vec<Entry<'_>> {
        let mut entries = Vec::with_capacity(self.len());
        let registry = registry::lock();
        self.root().for_each_word(0, 1, &mut |slot, word| {
            let Registered { variable, number } = registry.variable(slot);
            entries.push((number, Entry { variable, word }));
        });
        drop(registry);
        entries.sort_unstable_by_key(|&(number, _)| number);
        entries.into_iter().map(|(_, entry)| entry).collect()
    }
}

/// The variables whose changes count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    /// All that are inherited.
    Inherited,
    #[allow(dead_code, reason = "for feature `python`")]
    All,
    /// All but the variable with this slot.
    #[allow(dead_code, reason = "for feature `python`")]
    AllExcept(u32),
}

/// What the root of a map says about a variable.
pub(crate) enum LookUp<'a, T: 'static> {
    Value(&'a T),
    /// The variable is not set. This is its default.
    Default(&'static T),
    Unknown,
}

/// The place of a variable's value in a node that no other map shares. The place can be empty.
pub(crate) struct Place<'a, T: 'static> {
    node: &'a mut Node,
    slot: u32,
    variable: PhantomData<&'static Variable<T>>,
}

impl<T> Place<'_, T> {
    /// Puts `new` into the place, or clears it, and returns the old value.
    #[inline]
    pub(crate) fn replace(self, new: Option<Value<T>>) -> Option<Value<T>> {
        // SAFETY: the slot is that of a `Variable<T>`.
        unsafe { self.node.replace_value(self.slot, new) }
    }
}

impl Default for Map {
    #[inline]
    fn default() -> Self {
        Map::EMPTY
    }
}

impl Clone for Map {
    #[inline]
    fn clone(&self) -> Self {
        // The pointer is loaded once: the compiler would load it again after the count is changed.
        // SAFETY: a vacant map is not counted, and any other one is cloned.
        let root = unsafe { self.alias() };
        if root.is_vacant() { ManuallyDrop::into_inner(root) } else { Map { root: root.root.clone() } }
    }
}

impl Drop for Map {
    #[inline]
    fn drop(&mut self) {
        if !self.is_vacant() {
            // SAFETY: it is not used again.
            unsafe { ManuallyDrop::drop(&mut self.root) }
        }
    }
}

/// A variable that is set in a context, with its value. Made by [`Context::iter`](crate::Context::iter).
///
/// `Debug` formats the value: with the type's own `Debug` if the variable has one, as `<redacted>` if the
/// variable is secret, and otherwise as the name of the type.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    variable: &'static dyn AnyVariable,
    word: &'a Word,
}

impl<'a> Entry<'a> {
    /// Returns the variable's name.
    pub fn name(&self) -> &'static str {
        self.variable.name()
    }

    /// Returns the value if it is a `T`.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// let ctx = Context::new().with_value(&USER, "ada".to_owned());
    /// let entry = ctx.iter().next().unwrap();
    /// assert_eq!(entry.downcast_ref::<String>().unwrap(), "ada");
    /// assert_eq!(entry.downcast_ref::<u64>(), None);
    /// ```
    pub fn downcast_ref<T: 'static>(&self) -> Option<&'a T> {
        if self.variable.type_id() != TypeId::of::<T>() {
            return None;
        }
        // SAFETY: the word is a value of the variable, whose type is `T`.
        Some(unsafe { self.word.value() })
    }

    /// Passes the value to `visit` as logs and metrics show it.
    #[inline]
    pub(crate) fn show(&self, visit: &mut dyn FnMut(LogValue<'_>)) {
        // SAFETY: the word is in the variable's slot.
        unsafe { self.variable.show(self.word, visit) }
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the word is in the variable's slot.
        unsafe { self.variable.fmt_debug(self.word, f) }
    }
}
