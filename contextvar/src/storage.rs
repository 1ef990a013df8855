//! Variables' slots, and the persistent map from slots to values that stands behind every context.
//!
//! A variable gets a slot number at its first write. A map is a trie of shared nodes: a node holds the
//! values of 32 slots and, where there are more, up to 32 nodes below it. Copying a map is one atomic
//! increment; a write copies the nodes on the way to its slot that are shared, and no others.
//!
//! A slot belongs to one variable for ever, so that the type of the value in it is known.
#![allow(unsafe_code)]

mod value;

use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use value::{Heap, Word, is_inline};
pub(crate) use value::{Stored, copied};

/// What the storage knows of a variable.
///
/// One is made only where `T: Send + Sync`. Whoever has one need not show that again.
pub(crate) struct Variable<T> {
    name: &'static str,
    /// One more than the slot; 0 until the first write.
    slot: AtomicU32,
    debug: Option<DebugFn<T>>,
    secret: bool,
    /// Invariant: a `ContextVar<for<'a> fn(&'a u8)>` must not pass for a `ContextVar<fn(&'static u8)>`,
    /// through which a value of the lesser type could be set.
    _invariant: PhantomData<fn(T) -> T>,
}

/// `<T as Debug>::fmt`.
pub(crate) type DebugFn<T> = fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result;

impl<T> Variable<T> {
    pub(crate) const fn new(name: &'static str) -> Self
    where
        T: Send + Sync + 'static,
    {
        Variable { name, slot: AtomicU32::new(0), debug: None, secret: false, _invariant: PhantomData }
    }

    pub(crate) const fn debug(mut self, debug: Option<DebugFn<T>>) -> Self {
        self.debug = debug;
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// The slot, if there was a write. Relaxed: who can see a value in a map has synchronized with the
    /// writer of that value, who knew the slot.
    fn slot(&self) -> Option<u32> {
        self.slot.load(Ordering::Relaxed).checked_sub(1)
    }
}

impl<T: 'static> Variable<T> {
    /// The slot, given now if there was none. `'static`: from here on the variable can't be moved or
    /// dropped, so that its slot is its own for ever.
    fn slot_for_write(&'static self) -> u32 {
        self.slot().unwrap_or_else(|| {
            let mut registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
            self.slot().unwrap_or_else(|| {
                let slot = u32::try_from(registry.len()).expect("fewer than 2^32 variables");
                registry.push(self);
                self.slot.store(slot + 1, Ordering::Relaxed);
                slot
            })
        })
    }
}

/// The variables by slot.
static REGISTRY: Mutex<Vec<&'static dyn Describe>> = Mutex::new(Vec::new());

/// What can be asked of a variable and a value of it when the type is not known.
trait Describe: Sync {
    fn name(&self) -> &'static str;
    fn type_id(&self) -> TypeId;
    /// # Safety
    /// `word` holds a value of this variable.
    unsafe fn fmt(&self, word: &Word, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<T: 'static> Describe for Variable<T> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn type_id(&self) -> TypeId {
        TypeId::of::<T>()
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
}

/// A persistent map from variables to values.
#[derive(Clone, Default)]
pub(crate) struct Map {
    root: Option<Arc<Node>>,
}

/// A node that a write replaced. Its last owner drops values, which runs user code: whoever makes a write
/// drops this when the write is whole.
pub(crate) type Replaced = Option<Arc<dyn Send + Sync>>;

impl Map {
    pub(crate) const EMPTY: Map = Map { root: None };

    #[inline]
    pub(crate) fn get<T: 'static>(&self, variable: &Variable<T>) -> Option<&T> {
        let word = self.word(variable.slot()?)?;
        // SAFETY: a slot belongs to one variable, and only `replace` writes it, from a `Stored<T>`.
        Some(unsafe { word.value() })
    }

    fn word(&self, mut slot: u32) -> Option<&Word> {
        let mut node = self.root.as_ref()?;
        while let Some((child, below)) = down(slot) {
            node = node.children.as_ref()?[child].as_ref()?;
            slot = below;
        }
        node.word(slot)
    }

    /// Puts `new` in the variable's place, or clears the place, and hands back what was there.
    ///
    /// No user code runs in here: that is in the drop of what comes back.
    pub(crate) fn replace<T: 'static>(
        &mut self,
        variable: &'static Variable<T>,
        new: Option<Stored<T>>,
    ) -> (Option<Stored<T>>, Replaced) {
        if new.is_none() && self.get(variable).is_none() {
            return (None, None);
        }
        let mut slot = variable.slot_for_write();
        // The topmost shared node on the way. It keeps alive all that the copies made below it replace.
        let mut replaced = None;
        let mut place = &mut self.root;
        loop {
            let node = make_unique(place.get_or_insert_default(), &mut replaced);
            let Some((child, below)) = down(slot) else {
                let old = node.replace(slot, new.map(Stored::into_word), !is_inline::<T>());
                return (old.map(Stored::from_word), replaced);
            };
            place = &mut make_unique(node.children.get_or_insert_default(), &mut replaced)[child];
            slot = below;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.root.as_deref().map_or(0, Node::len)
    }

    /// The entries, in the order in which the variables were first written in this process.
    pub(crate) fn entries(&self) -> Vec<Entry<'_>> {
        let mut words = Vec::with_capacity(self.len());
        if let Some(root) = &self.root {
            root.collect(0, 1, &mut words);
        }
        words.sort_unstable_by_key(|&(slot, _)| slot);
        let registry = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = |(slot, word)| Entry { variable: registry[slot], word };
        words.into_iter().map(entry).collect()
    }
}

/// The way to a slot: `None` where the node at hand has it, else which of its children leads there, and
/// which slot of that child it is.
fn down(slot: u32) -> Option<(usize, u32)> {
    let below = slot.checked_sub(WIDTH as u32)?;
    Some((below as usize % WIDTH, below / WIDTH as u32))
}

/// The shared `node`, copied first where somebody else has it too.
fn make_unique<'a, N>(node: &'a mut Arc<N>, replaced: &mut Replaced) -> &'a mut N
where
    N: Clone + Send + Sync + 'static,
{
    if Arc::get_mut(node).is_none() {
        let copy = Arc::new(N::clone(node));
        // Not `Arc::make_mut`: what it drops may by now be the last of its kind.
        let shared = mem::replace(node, copy);
        replaced.get_or_insert(shared);
    }
    Arc::get_mut(node).expect("just made, or found to be unique")
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

const WIDTH: usize = 32;

/// The values of 32 slots, and the nodes below.
///
/// The slots of the whole trie from the point of view of a node: 0 to 31 are its own; after those, every
/// 32nd belongs to the same child.
struct Node {
    /// Bit n: there is a value in word n.
    set: u32,
    /// Bit n: if there is, it is a heap pointer.
    heap: u32,
    words: [Word; WIDTH],
    children: Option<Arc<Children>>,
}

type Children = [Option<Arc<Node>>; WIDTH];

impl Node {
    fn word(&self, index: u32) -> Option<&Word> {
        (self.set >> index & 1 != 0).then(|| &self.words[index as usize])
    }

    fn replace(&mut self, index: u32, new: Option<Word>, heap: bool) -> Option<Word> {
        let bit = 1 << index;
        let was_set = self.set & bit != 0;
        match new {
            Some(_) => self.set |= bit,
            None => self.set &= !bit,
        }
        if heap {
            self.heap |= bit;
        }
        let old = mem::replace(&mut self.words[index as usize], new.unwrap_or(Word::UNSET));
        was_set.then_some(old)
    }

    /// Takes one heap value out.
    fn pop(&mut self) -> Option<Heap> {
        let heap = self.set & self.heap;
        if heap == 0 {
            return None;
        }
        let index = heap.trailing_zeros();
        self.set &= !(1 << index);
        // SAFETY: the bits said that the word is a heap value, and now say that there is none.
        Some(unsafe { ManuallyDrop::take(&mut self.words[index as usize].heap) })
    }

    fn len(&self) -> usize {
        let below = self.children.iter().flat_map(|children| children.iter().flatten());
        self.set.count_ones() as usize + below.map(|child| child.len()).sum::<usize>()
    }

    /// Adds this node's words and those below, each with its slot: word n here is slot `first + n * step`.
    fn collect<'a>(&'a self, first: usize, step: usize, words: &mut Vec<(usize, &'a Word)>) {
        let word = |n: usize| Some((first + n * step, self.word(n as u32)?));
        words.extend((0..WIDTH).filter_map(word));
        for (n, child) in self.children.iter().flat_map(|children| children.iter().enumerate()) {
            if let Some(child) = child {
                child.collect(first + (WIDTH + n) * step, WIDTH * step, words);
            }
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Node { set: 0, heap: 0, words: [const { Word::UNSET }; WIDTH], children: None }
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        let copy = |n| match self.word(n as u32) {
            // SAFETY: the bits say that the word is a heap value.
            Some(word) if self.heap >> n & 1 != 0 => Word { heap: unsafe { word.heap.clone() } },
            // SAFETY: any bits will do for an inline word; these are a copy of a `Copy` value.
            Some(word) => Word { inline: unsafe { word.inline } },
            None => Word::UNSET,
        };
        Node {
            set: self.set,
            heap: self.heap,
            words: std::array::from_fn(copy),
            children: self.children.clone(),
        }
    }
}

impl Drop for Node {
    /// Drops all values, also where the drop of one panics, as `Vec` does.
    fn drop(&mut self) {
        struct Rest<'a>(&'a mut Node);
        impl Drop for Rest<'_> {
            fn drop(&mut self) {
                while let Some(value) = self.0.pop() {
                    drop(value);
                }
            }
        }
        let rest = Rest(self);
        while let Some(value) = rest.0.pop() {
            drop(value);
        }
    }
}
