//! Variables' slots, and the persistent map from slots to values that stands behind every context.
//!
//! A variable gets a slot number at its first write. A map is a trie of shared nodes (see `node`). Copying a
//! map is one atomic increment; a write copies the nodes on the way to its slot that are shared, and no
//! others.
//!
//! A slot belongs to one variable for ever, so that the type of the value in it is known.
#![allow(unsafe_code)]

mod counted;
mod node;
mod value;

/// What `counted` counts with. In the models of `tests/loom` it is something else.
mod sync {
    pub(super) use std::sync::atomic::{AtomicUsize, Ordering};
}

use std::any::{TypeId, type_name};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use counted::{Allocation, Counted};
use node::{Node, WIDTH};
use value::Word;
pub(crate) use value::{Stored, copied};

/// What the storage knows of a variable.
///
/// One is made only where `T: Send + Sync`. Whoever has one need not show that again.
pub(crate) struct Variable<T> {
    name: &'static str,
    /// 0 until the first write.
    slot: AtomicU32,
    debug: Option<DebugFn<T>>,
    /// How logs show the value, if they do.
    log: Option<DebugFn<T>>,
    secret: bool,
    inherit: bool,
    /// Invariant: a `ContextVar<for<'a> fn(&'a u8)>` must not pass for a `ContextVar<fn(&'static u8)>`,
    /// through which a value of the lesser type could be set.
    _invariant: PhantomData<fn(T) -> T>,
}

/// `<T as Debug>::fmt`, or that of `Display`.
pub(crate) type DebugFn<T> = fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result;

impl<T> Variable<T> {
    pub(crate) const fn new(name: &'static str) -> Self
    where
        T: Send + Sync + 'static,
    {
        Variable {
            name,
            slot: AtomicU32::new(0),
            debug: None,
            log: None,
            secret: false,
            inherit: true,
            _invariant: PhantomData,
        }
    }

    pub(crate) const fn debug(mut self, debug: Option<DebugFn<T>>) -> Self {
        self.debug = debug;
        self
    }

    pub(crate) const fn log(mut self, log: Option<DebugFn<T>>) -> Self {
        self.log = log;
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

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// The slot; 0, where no map has a value, until the first write. Relaxed: who can see a value in a map
    /// has synchronized with the writer of that value, who knew the slot.
    #[inline]
    fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }
}

impl<T: 'static> Variable<T> {
    /// The slot, given now if there was none.
    #[inline]
    fn slot_for_write(&'static self) -> u32 {
        match self.slot() {
            0 => self.assign_slot(),
            slot => slot,
        }
    }

    /// `'static`: from here on the variable can't be moved or dropped, so that its slot is its own for ever.
    #[cold]
    fn assign_slot(&'static self) -> u32 {
        let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        if self.slot() == 0 {
            self.slot.store(registry.add(self, self.inherit), Ordering::Relaxed);
        }
        self.slot()
    }
}

static REGISTRY: Mutex<Registry> =
    Mutex::new(Registry { inherited: Vec::new(), not_inherited: Vec::new(), end_of_logged: &LOGGED });

/// The variables that have slots.
struct Registry {
    /// In the order of their slots, as `not_inherited` is: see [`node::slot`].
    inherited: Vec<Registered>,
    not_inherited: Vec<Registered>,
    /// Where the list of the variables that logs show goes on.
    end_of_logged: &'static OnceLock<&'static Logged>,
}

#[derive(Clone, Copy)]
struct Registered {
    variable: &'static dyn Describe,
    /// How many variables were registered before.
    number: u32,
}

impl Registry {
    fn add(&mut self, variable: &'static dyn Describe, inherit: bool) -> u32 {
        let number = self.inherited.len() + self.not_inherited.len();
        let of_this_kind = if inherit { &mut self.inherited } else { &mut self.not_inherited };
        let slot = node::slot(of_this_kind.len(), inherit);
        let slot = slot.expect("fewer than 2^27 variables that are not inherited, and 2^32 in all");
        of_this_kind.push(Registered { variable, number: number as u32 });
        if variable.is_logged() {
            let logged = Box::leak(Box::new(Logged { variable, next: OnceLock::new() }));
            self.end_of_logged.get_or_init(|| logged);
            self.end_of_logged = &logged.next;
        }
        slot
    }

    fn variable(&self, slot: u32) -> Registered {
        let of_this_kind = if node::is_inherited(slot) { &self.inherited } else { &self.not_inherited };
        of_this_kind[node::index(slot)]
    }
}

/// The variables that logs show, in the order in which they were first written. A list that only grows, so that it is
/// read without a lock.
struct Logged {
    variable: &'static dyn Describe,
    next: OnceLock<&'static Logged>,
}

static LOGGED: OnceLock<&'static Logged> = OnceLock::new();

/// What can be asked of a variable and a value of it when the type is not known.
pub(crate) trait Describe: Sync {
    fn name(&self) -> &'static str;
    fn type_id(&self) -> TypeId;
    /// Makes the variable in `to` what it is in `from`: set to the same value, or not set.
    ///
    /// What was there before is dropped, if nobody else has it.
    fn copy(&'static self, from: &Map, to: &mut Map);
    /// # Safety
    /// `word` holds a value of this variable.
    unsafe fn fmt(&self, word: &Word, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    fn slot(&self) -> u32;
    fn is_logged(&self) -> bool;
    /// As logs show it, where they do.
    ///
    /// # Safety
    /// As for `fmt`.
    unsafe fn log(&self, word: &Word, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<T: 'static> Describe for Variable<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn type_id(&self) -> TypeId {
        TypeId::of::<T>()
    }

    fn copy(&'static self, from: &Map, to: &mut Map) {
        match from.share(self) {
            None if to.get(self).is_none() => (),
            value => drop(to.replace(self, value)),
        }
    }

    unsafe fn fmt(&self, word: &Word, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret {
            return f.write_str("<redacted>");
        }
        match self.debug {
            // SAFETY: the word holds a value of this variable, hence a `T`.
            Some(debug) => debug(unsafe { word.value() }, f),
            None => f.write_str(type_name::<T>()),
        }
    }

    fn slot(&self) -> u32 {
        self.slot()
    }

    fn is_logged(&self) -> bool {
        self.log.is_some() && !self.secret
    }

    unsafe fn log(&self, word: &Word, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log {
            // SAFETY: as in `fmt`.
            Some(log) => log(unsafe { word.value() }, f),
            None => Ok(()),
        }
    }
}

/// A persistent map from variables to values.
#[repr(transparent)]
pub(crate) struct Map {
    /// A node; [`EMPTY`] where there is no other, so that readers need not ask.
    root: ManuallyDrop<Counted>,
}

static EMPTY: Allocation<Node> = Allocation::fixed(Node::EMPTY, AtomicUsize::new(0));

/// Nodes that a write replaced. Their last owner drops values, which runs user code: whoever makes a write
/// drops this when the write is whole.
pub(crate) type Replaced = Option<Map>;

impl Map {
    pub(crate) const EMPTY: Map = Map { root: Counted::fixed(&EMPTY) };

    #[inline]
    pub(crate) fn get<T: 'static>(&self, variable: &Variable<T>) -> Option<&T> {
        let word = self.word(variable.slot())?;
        // SAFETY: a slot belongs to one variable, and only `replace` writes it, from a `Stored<T>`.
        Some(unsafe { word.value() })
    }

    /// The variable's value, shared with this map.
    fn share<T: 'static>(&self, variable: &Variable<T>) -> Option<Stored<T>> {
        let word = self.word(variable.slot())?;
        // SAFETY: as in `get`.
        Some(unsafe { Stored::share(word) })
    }

    #[inline]
    fn word(&self, slot: u32) -> Option<&Word> {
        if slot < WIDTH { self.root().here(slot) } else { self.root().below(slot) }
    }

    /// Whether nothing was ever written to it.
    #[inline]
    pub(crate) fn is_vacant(&self) -> bool {
        self.root.is(&EMPTY)
    }

    #[inline]
    fn root(&self) -> &Node {
        // SAFETY: the root is a node.
        unsafe { self.root.get() }
    }

    /// The same map, without a share in it.
    ///
    /// # Safety
    /// It is used only while the map lives and is not written.
    #[inline]
    pub(crate) unsafe fn alias(&self) -> ManuallyDrop<Map> {
        // SAFETY: `ManuallyDrop` keeps it from being dropped twice.
        ManuallyDrop::new(Map { root: unsafe { ptr::read(&self.root) } })
    }

    /// The variable's place in this map, if it can be written just so: it is in the root, and nobody else has
    /// that.
    #[inline]
    pub(crate) fn unshared_place<T>(&mut self, variable: &'static Variable<T>) -> Option<Place<'_, T>> {
        let slot = variable.slot();
        if (1..WIDTH).contains(&slot) && self.root.is_unique() {
            // SAFETY: the root is a node, and unique.
            Some(Place { node: unsafe { self.root.get_mut() }, slot, variable: PhantomData })
        } else {
            None
        }
    }

    /// Puts `new` in the variable's place, or clears the place, and hands back what was there.
    ///
    /// No user code runs in here: that is in the drop of what comes back.
    #[inline(always)]
    pub(crate) fn replace<T: 'static>(
        &mut self,
        variable: &'static Variable<T>,
        new: Option<Stored<T>>,
    ) -> (Option<Stored<T>>, Replaced) {
        let mut replaced = None;
        let (node, slot) = Node::place(&mut self.root, variable.slot_for_write(), &mut replaced);
        let old = Place { node, slot, variable: PhantomData }.replace(new);
        (old, replaced.map(|root| Map { root: ManuallyDrop::new(root) }))
    }

    /// This map without the values of variables that are not inherited. They all are in one place, so that the
    /// time does not depend on how many values there are.
    #[inline]
    pub(crate) fn inherited(mut self) -> Map {
        if self.root().is_all_inherited() {
            return self;
        }
        let mut replaced = None;
        let own = Node::take_own(&mut self.root, &mut replaced);
        // The write is whole.
        drop((own, replaced));
        self
    }

    /// Gives `f` the name and the value of each variable that logs show and that is set.
    pub(crate) fn for_each_logged(&self, f: &mut dyn FnMut(&'static str, &dyn fmt::Display)) {
        struct Value<'a>(&'static dyn Describe, &'a Word);

        impl fmt::Display for Value<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let _formatting = Formatting::begin(self.0);
                // SAFETY: the word stands in the variable's slot.
                unsafe { self.0.log(self.1, f) }
            }
        }

        let formatting = FORMATTING.get();
        let mut next = &LOGGED;
        while let Some(Logged { variable, next: after }) = next.get() {
            let word = self.word(variable.slot()).filter(|_| !formatting.leaves_out(*variable));
            if let Some(word) = word {
                f(variable.name(), &Value(*variable, word));
            }
            next = after;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.root().len()
    }

    /// The variables that are not as they are in `base`, but for those that are not inherited. In time in
    /// proportion to how many they are.
    pub(crate) fn changes_since(&self, base: &Map) -> Vec<&'static dyn Describe> {
        let mut slots = Vec::new();
        if !ptr::eq(self.root(), base.root()) {
            self.root().for_each_change(base.root(), 0, 1, &mut |slot| slots.push(slot));
        }
        let registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        slots.into_iter().map(|slot| registry.variable(slot).variable).collect()
    }

    /// The entries, in the order in which the variables were first written in this process.
    pub(crate) fn entries(&self) -> Vec<Entry<'_>> {
        let mut words = Vec::with_capacity(self.len());
        let registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        self.root().for_each(0, 1, &mut |slot, word| {
            let Registered { variable, number } = registry.variable(slot);
            words.push((number, Entry { variable, word }));
        });
        drop(registry);
        words.sort_unstable_by_key(|&(number, _)| number);
        words.into_iter().map(|(_, entry)| entry).collect()
    }
}

/// What this thread is formatting for a log. The `Display` of a value can log, which shows the variables again: without
/// limits, it would recurse without end.
#[derive(Clone, Copy)]
enum Formatting {
    Nothing,
    /// A value of this variable. What its `Display` logs shows the other variables.
    Value(&'static dyn Describe),
    /// A value, for what the `Display` of another one logs. What this one logs shows no variables.
    ValueInValue,
}

thread_local! {
    static FORMATTING: Cell<Formatting> = const { Cell::new(Formatting::Nothing) };
}

impl Formatting {
    /// Notes that a value of `variable` is being formatted, until the guard is dropped.
    fn begin(variable: &'static dyn Describe) -> impl Drop {
        struct Restore(Formatting);

        impl Drop for Restore {
            fn drop(&mut self) {
                FORMATTING.set(self.0);
            }
        }

        let outer = FORMATTING.get();
        FORMATTING.set(match outer {
            Formatting::Nothing => Formatting::Value(variable),
            _ => Formatting::ValueInValue,
        });
        Restore(outer)
    }

    fn leaves_out(self, variable: &'static dyn Describe) -> bool {
        match self {
            Formatting::Nothing => false,
            Formatting::Value(formatted) => ptr::addr_eq(formatted, variable),
            Formatting::ValueInValue => true,
        }
    }
}

/// Where a variable's value is, or would be.
pub(crate) struct Place<'a, T: 'static> {
    node: &'a mut Node,
    slot: u32,
    variable: PhantomData<&'static Variable<T>>,
}

impl<T> Place<'_, T> {
    /// Puts `new` there, or clears it, and hands back what was there.
    #[inline]
    pub(crate) fn replace(self, new: Option<Stored<T>>) -> Option<Stored<T>> {
        // SAFETY: the slot is that of a `Variable<T>`.
        unsafe { self.node.replace(self.slot, new) }
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
        if self.is_vacant() { Map::EMPTY } else { Map { root: self.root.clone() } }
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

/// A variable that is set in a context, and its value there. Made by [`Context::iter`](crate::Context::iter).
///
/// Its `Debug` is that of the value: the type's own where the variable has one, `<redacted>` where it is
/// secret, else the type's name.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    variable: &'static dyn Describe,
    word: &'a Word,
}

impl<'a> Entry<'a> {
    /// The variable's name.
    pub fn name(&self) -> &'static str {
        self.variable.name()
    }

    /// The value, if it is a `T`.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// let ctx = Context::new().with(&USER, "ada".to_owned());
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
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the word stands in the variable's slot.
        unsafe { self.variable.fmt(self.word, f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_is_given_once() {
        static VARIABLE: Variable<u64> = Variable::new("variable");

        let mut registry =
            Registry { inherited: Vec::new(), not_inherited: Vec::new(), end_of_logged: &LOGGED };
        let mut slots = std::collections::HashSet::from([0]);
        let count = if cfg!(miri) { 200 } else { 5000 };
        for number in 0..count {
            let inherit = number % 3 != 0;
            let slot = registry.add(&VARIABLE, inherit);
            assert!(slots.insert(slot));
            assert_eq!(node::is_inherited(slot), inherit);
            assert_eq!(registry.variable(slot).number, number);
        }
        assert_eq!(registry.inherited.len() + registry.not_inherited.len(), slots.len() - 1);
        let dense = |inherit| (0..1000).map(|index| node::slot(index, inherit).unwrap()).max().unwrap();
        assert_eq!((dense(true), dense(false)), (32 * 32 + 7, 32 * 1000 + 31));
    }

    /// Walking the list for each variable would be hours.
    #[test]
    fn a_million_logged_variables() {
        static VARIABLE: Variable<u64> = Variable::new("variable").log(Some(fmt::Display::fmt));

        let logged = Box::leak(Box::new(OnceLock::new()));
        let mut registry =
            Registry { inherited: Vec::new(), not_inherited: Vec::new(), end_of_logged: logged };
        let count = if cfg!(miri) { 200 } else { 1_000_000 };
        for _ in 0..count {
            registry.add(&VARIABLE, true);
        }
        let mut next: &OnceLock<&'static Logged> = logged;
        let listed = std::iter::from_fn(|| next.get().map(|logged| next = &logged.next)).count();
        assert_eq!(listed, count);
    }

    #[test]
    fn the_last_slots() {
        let last = |inherit, end: usize| {
            let last = node::slot(end - 1, inherit).unwrap();
            assert_eq!((node::slot(end, inherit), node::index(last)), (None, end - 1));
            last
        };
        assert_eq!(last(false, (1 << 27) - 1), u32::MAX);
        assert_eq!(last(true, u32::MAX as usize - ((1 << 27) - 1)), u32::MAX - 1);
    }
}
