//! The nodes of the trie.
//!
//! A slot below 32 has its word in the node at hand. Any other slot s belongs to the child s % 32, where it is
//! slot s / 32. So a slot is never 0 in any node: word 0 has the table of the children instead, which is a
//! node too, whose 32 words are the children. One child of the root is for the variables that tasks don't inherit.

use std::mem::{self, ManuallyDrop};
use std::ptr;

use super::counted::Counted;
use super::value::{Stored, Word, is_inline};

pub(super) const WIDTH: u32 = 32;

/// Where a node has its children.
const TABLE: u32 = 0;

/// The child of the root that has the variables which tasks don't inherit, and no others.
const OWN: u32 = WIDTH - 1;

pub(super) fn is_inherited(slot: u32) -> bool {
    slot < WIDTH || slot % WIDTH != OWN
}

/// Returns the slot of the variable that was registered as number `index` of those that tasks inherit, or of the others.
/// `None` if there are too many.
pub(super) fn slot(index: usize, inherit: bool) -> Option<u32> {
    let index = u32::try_from(index).ok()?;
    match (inherit, index.checked_sub(OWN)) {
        // The root's own slots are inherited, all but 0, which is no slot.
        (true, None) => Some(index + 1),
        (true, Some(index)) => (index / OWN + 1).checked_mul(WIDTH)?.checked_add(index % OWN),
        (false, _) => index.checked_add(1)?.checked_mul(WIDTH)?.checked_add(OWN),
    }
}

/// Returns the index for which [`slot`] returns `slot`.
pub(super) fn index(slot: u32) -> usize {
    let index = match (is_inherited(slot), slot / WIDTH) {
        (true, 0) => slot - 1,
        (true, row) => OWN + (row - 1) * OWN + slot % WIDTH,
        (false, row) => row - 1,
    };
    index as usize
}

/// Stands for a child that is not there.
static NONE: Node = Node::EMPTY;

/// 32 words.
pub(super) struct Node {
    /// Bit n: word n is a value.
    set: u32,
    /// Bit n: word n is a counted pointer, to a value or to a node.
    counted: u32,
    words: [Word; WIDTH as usize],
}

impl Node {
    pub(super) const EMPTY: Node =
        Node { set: 0, counted: 0, words: [const { Word::UNSET }; WIDTH as usize] };

    /// The value in a slot below 32.
    #[inline]
    pub(super) fn here(&self, slot: u32) -> Option<&Word> {
        if self.set >> slot & 1 == 0 { None } else { Some(&self.words[slot as usize]) }
    }

    /// The value in any slot.
    #[inline(never)]
    pub(super) fn below(&self, mut slot: u32) -> Option<&Word> {
        let mut node = self;
        while slot >= WIDTH {
            node = node.child(TABLE)?.child(slot % WIDTH)?;
            slot /= WIDTH;
        }
        node.here(slot)
    }

    fn child(&self, index: u32) -> Option<&Node> {
        // SAFETY: a counted pointer that is no value is one to a node.
        (self.counted >> index & 1 != 0).then(|| unsafe { self.words[index as usize].counted.get() })
    }

    /// Of the root: whether nothing in it is for a task of its own.
    #[inline]
    pub(super) fn is_all_inherited(&self) -> bool {
        self.child(TABLE).and_then(|table| table.child(OWN)).is_none()
    }

    /// Takes out what is not inherited, which there is. As for [`place`](Self::place).
    #[cold]
    pub(super) fn take_own(root: &mut Counted, replaced: &mut Option<Counted>) -> Counted {
        // SAFETY: the root is a node.
        let table = unsafe { Node::make_unique(root, replaced) }.make_child(TABLE, replaced);
        table.counted &= !(1 << OWN);
        // SAFETY: there was a counted pointer, of which no bit tells any more.
        unsafe { ManuallyDrop::take(&mut table.words[OWN as usize].counted) }
    }

    /// The node that has the slot, and which slot it is there. All on the way are made and unshared. The
    /// topmost that a copy has replaced is put into `replaced`; it keeps alive the others.
    #[inline]
    pub(super) fn place<'a>(
        root: &'a mut Counted,
        slot: u32,
        replaced: &mut Option<Counted>,
    ) -> (&'a mut Node, u32) {
        // SAFETY: the root is a node.
        let node = unsafe { Node::make_unique(root, replaced) };
        if slot < WIDTH { (node, slot) } else { node.place_below(slot, replaced) }
    }

    #[inline(never)]
    fn place_below(&mut self, mut slot: u32, replaced: &mut Option<Counted>) -> (&mut Node, u32) {
        let mut node = self;
        while slot >= WIDTH {
            node = node.make_child(TABLE, replaced).make_child(slot % WIDTH, replaced);
            slot /= WIDTH;
        }
        (node, slot)
    }

    fn make_child(&mut self, index: u32, replaced: &mut Option<Counted>) -> &mut Node {
        let bit = 1 << index;
        let word = &mut self.words[index as usize];
        if self.counted & bit == 0 {
            word.counted = ManuallyDrop::new(Counted::new(Node::EMPTY));
            self.counted |= bit;
        }
        // SAFETY: as in `child`.
        unsafe { Node::make_unique(&mut word.counted, replaced) }
    }

    /// # Safety
    /// It is a node that is counted.
    #[inline]
    unsafe fn make_unique<'a>(node: &'a mut Counted, replaced: &mut Option<Counted>) -> &'a mut Node {
        if !node.is_unique() {
            // SAFETY: it is a node.
            let copy = unsafe { node.get::<Node>() }.copy();
            let shared = mem::replace(node, copy);
            match replaced {
                // Not the last: it is in a node that is in `replaced`.
                Some(_) => drop(shared),
                None => *replaced = Some(shared),
            }
        }
        // SAFETY: it is a node, and it is unique or was made just now.
        unsafe { node.get_mut() }
    }

    /// A copy, which shares the values and the children.
    #[inline(never)]
    fn copy(&self) -> Counted {
        const HALF: usize = WIDTH as usize / 2;
        let upper_half_used = (self.set | self.counted) >> HALF != 0;
        // SAFETY: the place is there for a node, which has as many words as this one. Any bits will do for the
        // words that are not used; of the others the counted pointers are cloned, and the values are of types that
        // are `Copy`. All this after the allocation, in which an allocator may do anything.
        unsafe {
            Counted::new_with::<Node>(|node| {
                let mut counted = self.counted;
                while counted != 0 {
                    let index = counted.trailing_zeros();
                    // The clone, which is not dropped here, is the one in the new node.
                    let _clone: ManuallyDrop<Counted> = self.words[index as usize].counted.clone();
                    counted &= counted - 1;
                }
                (*node).set = self.set;
                (*node).counted = self.counted;
                // In two parts of a size that is known and small, so that no function is called for it.
                let (from, to) = (self.words.as_ptr(), (&raw mut (*node).words).cast::<Word>());
                to.copy_from_nonoverlapping(from, HALF);
                if upper_half_used {
                    to.add(HALF).copy_from_nonoverlapping(from.add(HALF), HALF);
                }
            })
        }
    }

    /// Puts `new` into a slot below 32, or clears it, and hands back what was there.
    ///
    /// # Safety
    /// The slot is that of a variable of this type.
    #[inline]
    pub(super) unsafe fn replace<T>(&mut self, slot: u32, new: Option<Stored<T>>) -> Option<Stored<T>> {
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
        was_set.then(|| Stored::from_word(old))
    }

    /// Gives `f` the slots, here and below, that are not as they are in `base`, but for those of variables
    /// that tasks don't inherit. Looks only at nodes that the two don't share. The rest as for `for_each`.
    pub(super) fn for_each_change(&self, base: &Node, first: u32, step: u32, f: &mut impl FnMut(u32)) {
        let mut slots = self.set | base.set;
        while slots != 0 {
            let n = slots.trailing_zeros();
            slots &= slots - 1;
            // SAFETY: a slot belongs to one variable; whether the value is counted follows from that.
            let is = |word: &Word, old| unsafe { word.is(old, self.counted >> n & 1 != 0) };
            if !self.here(n).zip(base.here(n)).is_some_and(|(word, old)| is(word, old)) {
                f(first + n * step);
            }
        }
        let (table, old_table) = (self.child(TABLE), base.child(TABLE));
        if table.map(ptr::from_ref) == old_table.map(ptr::from_ref) {
            return;
        }
        for n in 0..WIDTH {
            let (child, old) = (table.and_then(|t| t.child(n)), old_table.and_then(|t| t.child(n)));
            let is_own = step == 1 && n == OWN;
            if !is_own && child.map(ptr::from_ref) != old.map(ptr::from_ref) {
                let (child, old) = (child.unwrap_or(&NONE), old.unwrap_or(&NONE));
                child.for_each_change(old, first + n * step, step * WIDTH, f);
            }
        }
    }

    fn children(&self) -> impl Iterator<Item = (u32, &Node)> {
        let table = self.child(TABLE);
        (0..WIDTH).filter_map(move |n| Some((n, table?.child(n)?)))
    }

    pub(super) fn len(&self) -> usize {
        self.set.count_ones() as usize + self.children().map(|(_, child)| child.len()).sum::<usize>()
    }

    /// Gives `f` the words here and below, each with its slot: slot n here is `first + n * step` of the whole.
    pub(super) fn for_each<'a>(&'a self, first: u32, step: u32, f: &mut impl FnMut(u32, &'a Word)) {
        for n in 0..WIDTH {
            if let Some(word) = self.here(n) {
                f(first + n * step, word);
            }
        }
        for (n, child) in self.children() {
            child.for_each(first + n * step, step * WIDTH, f);
        }
    }
}

impl Drop for Node {
    /// Drops all values, also where the drop of one panics, as `Vec` does.
    #[inline]
    fn drop(&mut self) {
        /// Those that bits are left of.
        struct Rest<'a>(u32, &'a mut [Word; WIDTH as usize]);

        impl Rest<'_> {
            #[inline]
            fn drop_each(&mut self) {
                while self.0 != 0 {
                    let index = self.0.trailing_zeros();
                    self.0 &= self.0 - 1;
                    // SAFETY: the bits said that the word is a counted pointer, and do so no more.
                    unsafe { ManuallyDrop::drop(&mut self.1[index as usize].counted) }
                }
            }
        }

        impl Drop for Rest<'_> {
            #[inline]
            fn drop(&mut self) {
                self.drop_each();
            }
        }

        Rest(self.counted, &mut self.words).drop_each();
    }
}
