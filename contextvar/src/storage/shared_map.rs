//! A map that many threads copy at once, such as the values that all requests begin with.

use std::cell::Cell;
use std::thread;

use super::map::Map;
use crate::sync::{AtomicUsize, OnceLock, Ordering};

/// A map whose copies do not contend.
///
/// The count of a map's root is one cache line for all threads that copy the map, and so is the count of each value,
/// which the first write to a copy increments. Here each thread copies the map of a shard, whose counts are its own:
/// see [`Map::to_shard`].
pub(crate) struct SharedMap {
    map: Map,
    /// As many as there are processors, rounded up to a power of two. Each is made when a thread first needs it, so
    /// that its memory is near that thread.
    shards: Box<[Shard]>,
}

/// On two cache lines of its own, because processors fetch them in pairs.
#[repr(align(128))]
struct Shard(OnceLock<Map>);

impl SharedMap {
    pub(crate) fn new(map: Map) -> Self {
        let shards = match map.is_vacant() {
            true => 0,
            false => thread::available_parallelism().map_or(1, |count| count.get().next_power_of_two()),
        };
        SharedMap { map, shards: (0..shards).map(|_| Shard(OnceLock::new())).collect() }
    }

    /// Returns a copy of the map.
    #[inline]
    pub(crate) fn copy(&self) -> Map {
        match self.shards.get(thread_number() & self.shards.len().wrapping_sub(1)) {
            Some(shard) => shard.0.get_or_init(|| self.map.to_shard()).clone(),
            None => self.map.clone(),
        }
    }
}

/// Returns a number that the thread keeps. The threads are numbered in the order in which they ask.
#[inline]
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(0) };
    }

    #[cold]
    fn take_number() -> usize {
        NUMBER.set(NEXT.fetch_add(1, Ordering::Relaxed));
        NUMBER.get()
    }

    match NUMBER.get() {
        0 => take_number(),
        number => number,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::storage::{Value, Variable};

    fn variable(inherit: bool) -> &'static Variable<Arc<u32>> {
        Box::leak(Box::new(Variable::new("variable").inherit(inherit)))
    }

    fn set(map: &mut Map, variable: &'static Variable<Arc<u32>>, value: &Arc<u32>) -> Option<Arc<u32>> {
        let (old, _replaced) = map.write(variable, Some(Value::new(variable, value.clone())));
        old.map(|old| (*old).clone())
    }

    /// Some variables are in the root, some below it, some are not inherited.
    #[test]
    fn copies_have_the_values_and_keep_them_alive() {
        let variables: Vec<_> = (0..80).map(|index| variable(index % 4 != 0)).collect();
        let values: Vec<_> = (0..80).map(Arc::new).collect();
        let mut map = Map::EMPTY;
        for (variable, value) in variables.iter().zip(&values) {
            set(&mut map, variable, value);
        }
        let shared = SharedMap::new(map);
        let copies: Vec<Map> = thread::scope(|s| {
            let threads: Vec<_> = (0..4).map(|_| s.spawn(|| [shared.copy(), shared.copy()])).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        drop(shared);
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
            assert_eq!(inherited.len(), 60);
            assert!(inherited.changes_since(&copy).len() == 60);
        }
        for value in &values {
            assert_eq!(Arc::strong_count(value), 1, "all copies are gone");
        }
    }

    #[test]
    fn a_shared_copy_of_a_shard_is_a_copy_too() {
        let variable = variable(true);
        let value = Arc::new(1);
        let mut map = Map::EMPTY;
        set(&mut map, variable, &value);
        let first = SharedMap::new(map);
        let second = SharedMap::new(first.copy());
        drop(first);
        let mut copy = second.copy();
        drop(second);
        assert!(Arc::ptr_eq(copy.get(variable).unwrap(), &value));
        set(&mut copy, variable, &Arc::new(2));
        assert_eq!(Arc::strong_count(&value), 2, "the keeper has it");
        drop(copy);
        assert_eq!(Arc::strong_count(&value), 1);
    }

    #[test]
    fn the_first_write_to_a_copy_counts_no_value() {
        let variables = [variable(true), variable(true)];
        let value = Arc::new(1);
        let mut map = Map::EMPTY;
        set(&mut map, variables[0], &value);
        let shared = SharedMap::new(map);
        let mut copy = shared.copy();
        set(&mut copy, variables[1], &Arc::new(2));
        let (kept, _replaced) = shared.map.clone().write(variables[0], None);
        assert_eq!(kept.unwrap().count(), 2, "the map and this one");
    }

    #[test]
    fn an_empty_map_has_no_shards() {
        let shared = SharedMap::new(Map::EMPTY);
        assert!(shared.shards.is_empty() && shared.copy().is_vacant());
    }
}
