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

    /// Returns what takes no longer look than at the root.
    #[inline]
    pub(crate) fn look_up<T: 'static>(&self, variable: &'static Variable<T>) -> LookUp<'_, T> {
        let key = variable.key();
        if let Some(word) = self.root().word_of_key(key) {
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

    /// Returns true if many maps share the root, and its values are counted by the root itself.
    ///
    /// Then the count of the root is a cache line that many threads write, and so is the count of each value, which
    /// the first write to a copy increments.
    #[cfg(any(feature = "hyper", feature = "tower", test))]
    #[inline]
    pub(crate) fn is_shared_by_many(&self) -> bool {
        const MANY: usize = 8;
        self.root.count() > MANY && !self.root().is_vacant_or_has_keeper()
    }

    /// Returns a copy with counts of its own: to copy the copy and to write the result changes no count that this
    /// map's other copies use. The copy keeps this map alive, which counts the values.
    #[cfg(any(feature = "hyper", feature = "tower", test))]
    #[cold]
    pub(crate) fn with_own_counts(&self) -> Map {
        if self.is_vacant() {
            return self.clone();
        }
        Map { root: ManuallyDrop::new(Node::copy_with_keeper(self)) }
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

    /// Returns the variable's place if it can be written without a longer look: if it is in the root, no other map
    /// shares the root, and no keeper has the value.
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

    pub(crate) fn len(&self) -> usize {
        self.root().len(1)
    }

    /// Returns the variables whose state differs from that in `base`, except variables that are not
    /// inherited. Takes time proportional to the number of changes.
    pub(crate) fn changes_since(&self, base: &Map) -> Vec<&'static dyn AnyVariable> {
        let mut slots = Vec::new();
        if !ptr::eq(self.root(), base.root()) {
            self.root().for_each_change(base.root(), 0, 1, &mut |slot| slots.push(slot));
        }
        let registry = registry::lock();
        slots.into_iter().map(|slot| registry.variable(slot).variable).collect()
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn variable(inherit: bool) -> &'static Variable<Arc<u32>> {
        Box::leak(Box::new(Variable::new("variable").inherit(inherit)))
    }

    fn set(map: &mut Map, variable: &'static Variable<Arc<u32>>, value: &Arc<u32>) -> Option<Arc<u32>> {
        let (old, _replaced) = map.write(variable, Some(Value::new(variable, value.clone())));
        old.map(|old| (*old).clone())
    }

    /// Some variables are in the root, some below it, some are not inherited.
    #[test]
    fn a_map_with_own_counts_keeps_the_values_alive() {
        let variables: Vec<_> = (0..80).map(|index| variable(index % 4 != 0)).collect();
        let values: Vec<_> = (0..80).map(Arc::new).collect();
        let mut map = Map::EMPTY;
        for (variable, value) in variables.iter().zip(&values) {
            set(&mut map, variable, value);
        }
        let own = [(); 2].map(|()| map.with_own_counts());
        drop(map);
        let copies: Vec<Map> = own.iter().flat_map(|own| [own.clone(), own.clone()]).collect();
        drop(own);
        for mut copy in copies {
            let read = |copy: &Map| -> Vec<u32> {
                variables.iter().map(|variable| **copy.get(variable).expect("set in the map")).collect()
            };
            assert_eq!(read(&copy), (0..80).collect::<Vec<_>>());
            let copy_of_copy = copy.clone();
            for (index, variable) in variables.iter().enumerate() {
                let new = Arc::new(1000);
                let old = set(&mut copy, variable, &new).expect("set in the map");
                assert!(Arc::ptr_eq(&old, &values[index]));
                assert!(Arc::ptr_eq(copy.get(variable).unwrap(), &new));
                let old = set(&mut copy, variable, &values[index]).unwrap();
                assert!(Arc::ptr_eq(&old, &new));
                let (old, _replaced) = copy.write(variable, None);
                assert!(Arc::ptr_eq(&*old.unwrap(), &values[index]));
                assert!(copy.get(variable).is_none());
            }
            assert_eq!(copy.len(), 0);
            assert_eq!(copy.changes_since(&copy_of_copy).len(), 60, "the variables that are inherited");
            assert_eq!(read(&copy_of_copy), (0..80).collect::<Vec<_>>());
            let inherited = copy_of_copy.inherited();
            assert_eq!((inherited.len(), inherited.changes_since(&copy).len()), (60, 60));
        }
        for value in &values {
            assert_eq!(Arc::strong_count(value), 1, "all copies are gone");
        }
    }

    #[test]
    fn the_first_write_to_a_copy_counts_no_value() {
        let variables = [variable(true), variable(true)];
        let mut map = Map::EMPTY;
        set(&mut map, variables[0], &Arc::new(1));
        let own = map.with_own_counts();
        let mut copy = own.clone();
        set(&mut copy, variables[1], &Arc::new(2));
        assert_eq!(map.share(variables[0]).unwrap().count(), 2, "the map's and this one");
        assert_eq!(copy.clone().share(variables[0]).unwrap().count(), 2);
    }

    #[test]
    fn a_map_with_own_counts_can_get_others() {
        let variable = variable(true);
        let value = Arc::new(1);
        let mut map = Map::EMPTY;
        set(&mut map, variable, &value);
        let first = map.with_own_counts();
        drop(map);
        let second = first.with_own_counts();
        drop(first);
        let mut copy = second.clone();
        drop(second);
        assert!(Arc::ptr_eq(copy.get(variable).unwrap(), &value));
        set(&mut copy, variable, &Arc::new(2));
        assert_eq!(Arc::strong_count(&value), 2, "the keeper has it");
        drop(copy);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn only_a_map_with_many_copies_is_shared_by_many() {
        let mut map = Map::EMPTY;
        assert!(!map.is_shared_by_many() && map.with_own_counts().is_vacant());
        set(&mut map, variable(true), &Arc::new(1));
        let copies = [(); 8].map(|()| map.clone());
        assert!(map.is_shared_by_many() && copies[7].is_shared_by_many());
        let own = map.with_own_counts();
        let copies_of_own = [(); 8].map(|()| own.clone());
        assert!(!own.is_shared_by_many(), "it has a keeper");
        drop((copies, copies_of_own));
        assert!(!map.is_shared_by_many());
    }
}
