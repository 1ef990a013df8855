//! The slots of variables, which are assigned at their first write, in maps that go from thread to thread.

use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::storage::{LookUp, Map, Value, Variable};
use crate::sync::model;

/// Returns a new variable. It leaks, as a static does.
fn variable() -> &'static Variable<String> {
    Box::leak(Box::new(Variable::new("variable")))
}

fn map_with(variable: &'static Variable<String>, value: &str) -> Map {
    let mut map = Map::EMPTY;
    drop(map.write(variable, Some(Value::new(variable, value.to_owned()))));
    map
}

#[test]
fn a_variable_gets_one_slot() {
    model(|| {
        let (first, second) = (variable(), variable());
        let threads = [[first, second], [second, first]].map(|variables| {
            thread::spawn(move || {
                variables.map(|variable| {
                    let map = map_with(variable, "value");
                    assert_eq!(map.get(variable).map(String::as_str), Some("value"));
                    variable.slot_for_write()
                })
            })
        });
        let [[a, b], [d, c]] = threads.map(|thread| thread.join().unwrap());
        assert_eq!([a, b], [c, d]);
        assert!(a != b && [a, b].iter().all(|slot| [1, 2].contains(slot)));
    });
}

#[test]
fn a_thread_finds_in_the_root_what_it_has_set() {
    model(|| {
        let variable = variable();
        let threads = ["one", "two"].map(|value| {
            thread::spawn(move || {
                let map = map_with(variable, value);
                assert!(matches!(map.look_up(variable), LookUp::Value(found) if found == value));
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_thread_that_receives_a_value_finds_its_slot() {
    model(|| {
        let variable = variable();
        let sent = Arc::new(Mutex::new(None));
        let writers = ["one", "two"].map(|value| {
            let sent = sent.clone();
            thread::spawn(move || {
                let map = map_with(variable, value);
                *sent.lock().unwrap() = Some(map);
            })
        });
        if let Some(map) = sent.lock().unwrap().take() {
            let value = map.get(variable).map(String::as_str);
            assert!(matches!(value, Some("one" | "two")), "{value:?}");
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
}

#[test]
fn copies_of_a_map_are_written_independently() {
    model(|| {
        let variable = variable();
        let mut map = map_with(variable, "original");
        let mut copy = map.clone();
        let thread = thread::spawn(move || {
            assert_eq!(copy.get(variable).map(String::as_str), Some("original"));
            drop(copy.write(variable, Some(Value::new(variable, "copy".to_owned()))));
            assert_eq!(copy.get(variable).map(String::as_str), Some("copy"));
        });
        drop(map.write(variable, Some(Value::new(variable, "written".to_owned()))));
        assert_eq!(map.get(variable).map(String::as_str), Some("written"));
        thread.join().unwrap();
        assert_eq!(map.get(variable).map(String::as_str), Some("written"));
    });
}
