//! The nodes of the trie.
//!
//! A node holds the word of each slot below 32 itself. Any other slot s is in child s % 32, as slot s / 32.
//! So no node has a slot 0. Word 0 points to the table of the children instead: a node whose 32 words point
//! to the children. One child of the root holds the variables that are not inherited, and no others. No
//! variable has slot 31, so the root has no value there. Its bits are flags.

use std::mem::{self, ManuallyDrop};
use std::ptr;

use super::counted::{self, Counted};
use super::map::Changes;
use super::value::{Value, Word, is_inline};

pub(super) const WIDTH: u32 = 32;

/// The word of a node that points to the table of its children.
const TABLE: u32 = 0;

/// The child of the root that holds the variables that are not inherited.
const NOT_INHERITED: u32 = WIDTH - 1;

/// The slot of a variable that was never written. No map has a value there.
pub(super) const UNASSIGNED: u32 = 0;

/// The bit of slot 31, which is a flag in a root.
const FLAG: u32 = 1 << (WIDTH - 1);

/// Returns true if `slot` is that of a variable that is inherited.
pub(super) fn is_inherited(slot: u32) -> bool {
    slot < WIDTH || slot % WIDTH != NOT_INHERITED
}

/// The number of variables in the root, all of which are inherited.
const IN_ROOT: u32 = WIDTH - 2;

/// The number of inherited variables in each row of slots below the root.
const PER_ROW: u32 = WIDTH - 1;

/// Returns the slot of the variable number `index` among those that are inherited, or among the others.
/// `None` if there are too many.
pub(super) fn slot(index: usize, inherit: bool) -> Option<u32> {
    let index = u32::try_from(index).ok()?;
    match (inherit, index.checked_sub(IN_ROOT)) {
        (true, None) => Some(index + 1),
        (true, Some(index)) => (index / PER_ROW + 1).checked_mul(WIDTH)?.checked_add(index % PER_ROW),
        (false, _) => index.checked_add(1)?.checked_mul(WIDTH)?.checked_add(NOT_INHERITED),
    }
}

/// Returns the index for which [`slot`] returns `slot`.
pub(super) fn index(slot: u32) -> usize {
    let index = match (is_inherited(slot), slot / WIDTH) {
        (true, 0) => slot - 1,
        (true, row) => IN_ROOT + (row - 1) * PER_ROW + slot % WIDTH,
        (false, row) => row - 1,
    };
    index as usize
}

/// In `set` of a root: the map is not [lost](super::Map::is_lost).
const NOT_LOST: u32 = FLAG;

/// In a [key](super::Variable::key): the default has been computed, and the variable is not below the root. The same
/// bit as [`NOT_LOST`], so that one test finds both.
pub(super) const DEFAULT_COMPUTED: u32 = FLAG;

/// In `counted` of a root: the root is a static, of a map that was never written; or else word 31 is its keeper.
///
/// The keeper is a counted pointer to another root. It keeps values alive that this root has, but does not count:
/// see [`copy_with_keeper`](Node::copy_with_keeper).
const VACANT_OR_KEEPER: u32 = FLAG;

/// The word of a root that points to the keeper.
const KEEPER: usize = WIDTH as usize - 1;

/// Stands in for a child that does not exist.
static NO_NODE: Node = Node::EMPTY;

/// 32 words.
pub(super) struct Node {
    /// Bit n is set if word n is a value. See also [`NOT_LOST`].
    set: u32,
    /// Bit n is set if this node counts the pointer in word n: to a value or to a node. See also
    /// [`VACANT_OR_KEEPER`].
    counted: u32,
    words: [Word; WIDTH as usize],
}

impl Node {
    pub(super) const EMPTY: Node = Node::without_values(0, 0);
    pub(super) const VACANT: Node = Node::without_values(NOT_LOST, VACANT_OR_KEEPER);
    pub(super) const VACANT_AND_LOST: Node = Node::without_values(0, VACANT_OR_KEEPER);

    const fn without_values(set: u32, counted: u32) -> Node {
        Node { set, counted, words: [const { Word::UNSET }; WIDTH as usize] }
    }

    #[inline]
    pub(super) fn is_vacant_or_has_keeper(&self) -> bool {
        self.counted & VACANT_OR_KEEPER != 0
    }

    #[inline]
    pub(super) fn is_lost(&self) -> bool {
        self.set & NOT_LOST == 0
    }

    /// Returns the value of the variable with this key, if this root has it.
    ///
    /// # Safety
    /// It is the [key](super::Variable::key) of a variable.
    #[inline]
    pub(super) unsafe fn word_of_key(&self, key: u32) -> Option<&Word> {
        if self.set.wrapping_shr(key) & 1 == 0 {
            return None;
        }
        // SAFETY: the low byte of a key is below 32.
        Some(unsafe { self.words.get_unchecked(usize::from(key as u8)) })
    }

    /// Returns true if a variable with this key, whose value the root does not have, has its default.
    #[inline]
    pub(super) fn has_default(&self, key: u32) -> bool {
        self.set & key & NOT_LOST & DEFAULT_COMPUTED != 0
    }

    /// Returns the value in a slot below 32.
    #[inline]
    pub(super) fn own_word(&self, slot: u32) -> Option<&Word> {
        if self.set >> slot & 1 == 0 { None } else { Some(&self.words[slot as usize]) }
    }

    /// Returns the value in a slot from 32 on. Returns `None` for lower ones: no node has a value in slot 0.
    #[inline(never)]
    pub(super) fn nested_word(&self, mut slot: u32) -> Option<&Word> {
        let mut node = self;
        loop {
            node = node.child(TABLE)?.child(slot % WIDTH)?;
            slot /= WIDTH;
            if slot < WIDTH {
                return node.own_word(slot);
            }
        }
    }

    fn child(&self, index: u32) -> Option<&Node> {
        // SAFETY: a counted pointer that is no value points to a node.
        (self.counted >> index & 1 != 0).then(|| unsafe { self.words[index as usize].counted().get() })
    }

    /// Returns true if this root has no node for the variables that are not inherited.
    #[inline]
    pub(super) fn is_all_inherited(&self) -> bool {
        self.child(TABLE).and_then(|table| table.child(NOT_INHERITED)).is_none()
    }

    /// Removes and returns the node with the variables that are not inherited, which must exist. `replaced`
    /// is as in [`unshare_path`](Self::unshare_path).
    #[cold]
    pub(super) fn take_not_inherited(root: &mut Counted, replaced: &mut Option<Counted>) -> Counted {
        // SAFETY: the root is a node.
        let table = unsafe { Node::make_unique(root, true, replaced) }.child_mut(TABLE, replaced);
        table.counted &= !(1 << NOT_INHERITED);
        // SAFETY: the word is a counted pointer, and its bit is clear now, so nothing else takes or drops it.
        unsafe { ManuallyDrop::take(table.words[NOT_INHERITED as usize].counted_mut()) }
    }

    /// Makes the path to a slot writable: creates the nodes that are missing, and replaces those that are
    /// shared by copies. Returns the node at the end of the path, and the slot's number there.
    ///
    /// Stores the topmost node that it replaced in `replaced`, which keeps the other ones alive.
    #[inline]
    pub(super) fn unshare_path<'a>(
        root: &'a mut Counted,
        slot: u32,
        replaced: &mut Option<Counted>,
    ) -> (&'a mut Node, u32) {
        // SAFETY: the root is a node.
        let node = unsafe { Node::make_unique(root, true, replaced) };
        if slot < WIDTH { (node, slot) } else { node.unshare_nested_path(slot, replaced) }
    }

    #[inline(never)]
    fn unshare_nested_path(&mut self, mut slot: u32, replaced: &mut Option<Counted>) -> (&mut Node, u32) {
        let mut node = self;
        while slot >= WIDTH {
            node = node.child_mut(TABLE, replaced).child_mut(slot % WIDTH, replaced);
            slot /= WIDTH;
        }
        (node, slot)
    }

    /// Returns a child that only this node has. Creates it if it does not exist.
    fn child_mut(&mut self, index: u32, replaced: &mut Option<Counted>) -> &mut Node {
        let bit = 1 << index;
        let word = &mut self.words[index as usize];
        if self.counted & bit == 0 {
            *word = Word::of_counted(Counted::new(Node::EMPTY));
            self.counted |= bit;
        }
        // SAFETY: as in `child`.
        unsafe { Node::make_unique(word.counted_mut(), false, replaced) }
    }

    /// Replaces the node by a copy if it is shared.
    ///
    /// # Safety
    /// `node` points to a node. If `is_root` is false, the node is none.
    #[inline]
    unsafe fn make_unique<'a>(
        node: &'a mut Counted,
        is_root: bool,
        replaced: &mut Option<Counted>,
    ) -> &'a mut Node {
        if !node.is_unique() {
            // SAFETY: it is a node.
            let shared = unsafe { node.get::<Node>() };
            let is_static = is_root && shared.is_vacant_or_has_keeper() && node.is_fixed();
            let flags = if is_root { FLAG } else { 0 };
            let copy = shared.shallow_copy(!flags, if is_static { !flags } else { !0 });
            let shared = mem::replace(node, copy);
            match replaced {
                _ if is_static => mem::forget(shared),
                // Not its last owner: a node in `replaced` also points to it.
                Some(_) => drop(shared),
                None => *replaced = Some(shared),
            }
        }
        // SAFETY: it is a node, and it is unique or was made just now.
        unsafe { node.get_mut() }
    }

    /// Returns a copy that shares the values and the children. The masks have the bits of `set` that are values,
    /// and those of `counted` that are counted pointers.
    #[inline(never)]
    fn shallow_copy(&self, set_mask: u32, counted_mask: u32) -> Counted {
        const HALF: usize = WIDTH as usize / 2;
        let counted = self.counted & counted_mask;
        let used = self.set & set_mask | counted;
        // SAFETY: the allocation has room for a node, which has as many words as this one. Unused words may
        // hold any bits. The counted pointers among the used words are cloned; the other values are of types
        // that are `Copy`. The closure runs after the allocation: an allocator may run any code.
        unsafe {
            Counted::new_with::<Node>(|node| {
                let mut rest = counted;
                while rest != 0 {
                    let index = rest.trailing_zeros();
                    // Not dropped here: the copied word in the new node is this clone.
                    let _clone: ManuallyDrop<Counted> =
                        ManuallyDrop::new(self.words[index as usize].counted().clone());
                    rest &= rest - 1;
                }
                (*node).set = self.set;
                (*node).counted = counted;
                // In two halves of a constant size, so that the compiler inlines the copies.
                let (from, to) = (self.words.as_ptr(), (&raw mut (*node).words).cast::<Word>());
                if used != 0 {
                    to.copy_from_nonoverlapping(from, HALF);
                }
                if used >> HALF != 0 {
                    to.add(HALF).copy_from_nonoverlapping(from.add(HALF), HALF);
                }
            })
        }
    }

    /// Returns a copy of a root that is not vacant, with a keeper: the values in the root are counted by the keeper
    /// only. What is below the root has a count for the copy, which is its table's.
    #[allow(dead_code, reason = "for feature `tower`")]
    pub(super) fn copy_with_keeper(&self) -> Counted {
        let table = 1 << TABLE;
        let keeper = self.shallow_copy(!FLAG, !table);
        let mut copy = self.shallow_copy(!FLAG, table);
        // SAFETY: it is a node, and was made just now.
        let root = unsafe { copy.get_mut::<Node>() };
        if root.counted & table != 0 {
            // The table is shared with this root, which keeps it alive.
            root.child_mut(TABLE, &mut None);
        }
        root.words[KEEPER] = Word::of_counted(keeper);
        root.counted |= VACANT_OR_KEEPER;
        copy
    }

    /// Counts the value in a slot below 32, if there is one that only the keeper counts.
    ///
    /// # Safety
    /// The slot is that of a variable whose values are not inline.
    #[inline]
    pub(super) unsafe fn count_kept_value(&mut self, slot: u32) {
        let bit = 1 << slot;
        if self.set & bit & !self.counted != 0 {
            self.counted |= bit;
            // SAFETY: the word is a pointer to a value.
            mem::forget(unsafe { self.words[slot as usize].counted() }.clone());
        }
    }

    /// Puts `new` into a slot below 32, or clears the slot, and returns the old value, which is counted.
    ///
    /// # Safety
    /// The slot is that of a `Variable<T>`.
    #[inline]
    pub(super) unsafe fn replace_value<T>(&mut self, slot: u32, new: Option<Value<T>>) -> Option<Value<T>> {
        let bit = 1 << slot;
        let was_set = self.set & bit != 0;
        let word = &mut self.words[slot as usize];
        let old = match new {
            Some(new) => {
                self.set |= bit;
                if !is_inline::<T>() {
                    self.counted |= bit;
                }
                mem::replace(word, new.into_word())
            }
            None => {
                self.set &= !bit;
                self.counted &= !bit;
                mem::replace(word, Word::UNSET)
            }
        };
        was_set.then(|| Value::from_word(old))
    }

    /// Calls `f` with each slot whose value differs from that in `base`, as far as the change counts. Visits only
    /// nodes that the two tries do not share. `first` and `step` are as in [`for_each_word`](Self::for_each_word).
    pub(super) fn for_each_change(
        &self,
        base: &Node,
        changes: Changes,
        first: u32,
        step: u32,
        f: &mut impl FnMut(u32),
    ) {
        let mut slots = self.values(step) | base.values(step);
        while slots != 0 {
            let n = slots.trailing_zeros();
            slots &= slots - 1;
            // SAFETY: both words are values.
            let is_same = |word: &Word, old| unsafe { word.is_same(old) };
            if !self.own_word(n).zip(base.own_word(n)).is_some_and(|(word, old)| is_same(word, old)) {
                f(first + n * step);
            }
        }
        let (table, old_table) = (self.child(TABLE), base.child(TABLE));
        if table.map(ptr::from_ref) == old_table.map(ptr::from_ref) {
            return;
        }
        for n in 0..WIDTH {
            let (child, old) = (table.and_then(|t| t.child(n)), old_table.and_then(|t| t.child(n)));
            let is_left_out = changes == Changes::Inherited && step == 1 && n == NOT_INHERITED;
            if !is_left_out && child.map(ptr::from_ref) != old.map(ptr::from_ref) {
                let (child, old) = (child.unwrap_or(&NO_NODE), old.unwrap_or(&NO_NODE));
                child.for_each_change(old, changes, first + n * step, step * WIDTH, f);
            }
        }
    }

    fn children(&self) -> impl Iterator<Item = (u32, &Node)> {
        let table = self.child(TABLE);
        (0..WIDTH).filter_map(move |n| Some((n, table?.child(n)?)))
    }

    /// Returns the number of values in this node and below it. `step` is 1 for a root.
    pub(super) fn len(&self, step: u32) -> usize {
        self.values(step).count_ones() as usize
            + self.children().map(|(_, child)| child.len(WIDTH)).sum::<usize>()
    }

    /// Returns the bits of the words that are values. `step` is 1 for a root.
    fn values(&self, step: u32) -> u32 {
        if step == 1 { self.set & !NOT_LOST } else { self.set }
    }

    /// Calls `f` with each value in this node and below it, and with the value's slot. Slot n of this node is
    /// slot `first + n * step` of the trie.
    pub(super) fn for_each_word<'a>(&'a self, first: u32, step: u32, f: &mut impl FnMut(u32, &'a Word)) {
        let mut values = self.values(step);
        while values != 0 {
            let n = values.trailing_zeros();
            values &= values - 1;
            f(first + n * step, &self.words[n as usize]);
        }
        for (n, child) in self.children() {
            child.for_each_word(first + n * step, step * WIDTH, f);
        }
    }

    /// The size of a node with its count, in bytes.
    pub(super) const SIZE: usize = counted::layout::<Node>().0.size();

    /// Calls `f` with each counted value that only this trie has, and with the value's slot; and with the word of
    /// each node below this one that only this trie has, and `None`. `first` and `step` are as in
    /// [`for_each_word`](Self::for_each_word).
    pub(super) fn for_each_own_word(&self, first: u32, step: u32, f: &mut impl FnMut(Option<u32>, &Word)) {
        let is_own = |node: &Node, index: u32| {
            // SAFETY: the bit says that the word is a counted pointer.
            node.counted >> index & 1 != 0 && unsafe { node.words[index as usize].counted() }.is_unique()
        };
        for n in (0..WIDTH).filter(|&n| self.values(step) >> n & 1 != 0 && is_own(self, n)) {
            f(Some(first + n * step), &self.words[n as usize]);
        }
        let Some(table) = self.child(TABLE).filter(|_| is_own(self, TABLE)) else { return };
        f(None, &self.words[TABLE as usize]);
        for (n, child) in self.children().filter(|&(n, _)| is_own(table, n)) {
            f(None, &table.words[n as usize]);
            child.for_each_own_word(first + n * step, step * WIDTH, f);
        }
    }
}

impl Drop for Node {
    /// Drops all values, also if the drop of one panics, as `Vec` does.
    #[inline]
    fn drop(&mut self) {
        Rest(self.counted, &mut self.words).drop_each();
    }
}

/// The counted pointers that are not dropped yet: a bit and a word each.
struct Rest<'a>(u32, &'a mut [Word; WIDTH as usize]);

impl Rest<'_> {
    #[inline]
    fn drop_each(&mut self) {
        while self.0 != 0 {
            let index = self.0.trailing_zeros();
            self.0 &= self.0 - 1;
            // SAFETY: the bit said that the word is a counted pointer, and is clear now.
            unsafe { ManuallyDrop::drop(self.1[index as usize].counted_mut()) }
        }
    }
}

impl Drop for Rest<'_> {
    #[inline]
    fn drop(&mut self) {
        self.drop_each();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_dense() {
        let last = |inherit| (0..1000).map(|index| slot(index, inherit).unwrap()).max().unwrap();
        assert_eq!((last(true), last(false)), (32 * 32 + 8, 32 * 1000 + 31));
    }

    #[test]
    fn the_last_slots() {
        let last = |inherit, end: usize| {
            let last = slot(end - 1, inherit).unwrap();
            assert_eq!((slot(end, inherit), index(last)), (None, end - 1));
            last
        };
        assert_eq!(last(false, (1 << 27) - 1), u32::MAX);
        assert_eq!(last(true, u32::MAX as usize - (1 << 27)), u32::MAX - 1);
    }
}
