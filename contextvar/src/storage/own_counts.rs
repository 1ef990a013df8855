//! Tests of maps with a keeper. Not in `map`, which `tests/loom` compiles, because they are no models.

use std::sync::{Arc, LazyLock};

use super::{Changes, Map, Value, Variable};

fn variable(inherit: bool) -> &'static Variable<Arc<u32>> {
    Box::leak(Box::new(Variable::new("variable").inherit(inherit)))
}

/// Variables that have slots in the root.
static IN_ROOT: LazyLock<[&Variable<Arc<u32>>; 2]> = LazyLock::new(|| {
    let variables = [variable(true), variable(true)];
    for variable in variables {
        variable.slot_for_write();
    }
    variables
});

fn set(map: &mut Map, variable: &'static Variable<Arc<u32>>, value: &Arc<u32>) -> Option<Arc<u32>> {
    let (old, _replaced) = map.write(variable, Some(Value::new(variable, value.clone())));
    old.map(|old| (*old).clone())
}

/// Some variables are in the root, some below it, some are not inherited.
#[test]
fn a_map_with_own_counts_keeps_the_values_alive() {
    LazyLock::force(&IN_ROOT);
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
        assert_eq!(
            copy.changes_since(&copy_of_copy, Changes::Inherited).len(),
            60,
            "the variables that are inherited"
        );
        assert_eq!(read(&copy_of_copy), (0..80).collect::<Vec<_>>());
        let inherited = copy_of_copy.inherited();
        assert_eq!((inherited.len(), inherited.changes_since(&copy, Changes::Inherited).len()), (60, 60));
    }
    for value in &values {
        assert_eq!(Arc::strong_count(value), 1, "all copies are gone");
    }
}

#[test]
fn the_first_write_to_a_copy_counts_no_value() {
    let [kept, other] = *IN_ROOT;
    let mut map = Map::EMPTY;
    set(&mut map, kept, &Arc::new(1));
    let owners = |map: &Map| map.share(kept).expect("set").count() - 1;
    assert_eq!(owners(&map), 1, "the map");
    let own = map.with_own_counts();
    assert_eq!(owners(&map), 2, "the map and the keeper");
    let mut copy = own.clone();
    set(&mut copy, other, &Arc::new(2));
    assert_eq!(owners(&copy), 2);
    // A map without a keeper counts it.
    let mut copy = map.clone();
    set(&mut copy, other, &Arc::new(2));
    assert_eq!(owners(&copy), 3);
}

#[test]
fn a_map_with_own_counts_can_get_others() {
    let [variable, _] = *IN_ROOT;
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
fn a_map_with_own_counts_keeps_no_value_that_is_not_inherited() {
    let [inherited, not_inherited] = [true, false].map(variable);
    let values = [1, 2].map(Arc::new);
    let mut map = Map::EMPTY;
    set(&mut map, inherited, &values[0]);
    set(&mut map, not_inherited, &values[1]);
    let own = map.with_own_counts();
    drop(map);
    let copy = own.clone().inherited();
    assert!(Arc::ptr_eq(own.get(not_inherited).unwrap(), &values[1]));
    drop(own);
    assert_eq!(values.each_ref().map(Arc::strong_count), [2, 1]);
    assert!(Arc::ptr_eq(copy.get(inherited).unwrap(), &values[0]));
}

#[test]
fn an_empty_map_has_no_counts() {
    assert!(Map::EMPTY.with_own_counts().is_vacant() && Map::LOST.with_own_counts().is_lost());
}
