//! The defaults of variables.

use std::cell::Cell;

use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::storage::{LookUp, Map, Value, Variable};
use crate::sync::model;

#[path = "../../contextvar/src/var/default_value.rs"]
mod default_value;

use default_value::DefaultValue;

#[derive(Clone, Copy)]
struct WithDefault {
    variable: &'static Variable<u32>,
    default: &'static DefaultValue<u32>,
}

impl WithDefault {
    /// Returns a new variable. It leaks, as a static does.
    fn new(compute: fn() -> u32) -> Self {
        let mut default = DefaultValue::none();
        default.compute = Some(compute);
        WithDefault {
            variable: Box::leak(Box::new(Variable::new("variable"))),
            default: Box::leak(Box::new(default)),
        }
    }

    fn get(self) -> Option<u32> {
        self.default.get(self.variable).copied()
    }
}

// All loom threads of a model are on one thread.
thread_local! {
    /// The variable that its own default reads.
    static READ_BY_DEFAULT: Cell<Option<WithDefault>> = const { Cell::new(None) };
    static COMPUTED: Cell<u32> = const { Cell::new(0) };
}

#[test]
fn a_default_is_computed_once_and_cannot_read_itself() {
    model(|| {
        let variable = WithDefault::new(|| {
            let variable = READ_BY_DEFAULT.get().expect("set below");
            assert_eq!(variable.get(), None, "only the computing thread gets this");
            COMPUTED.set(COMPUTED.get() + 1);
            7
        });
        READ_BY_DEFAULT.set(Some(variable));
        COMPUTED.set(0);
        let threads = [(); 2].map(|()| thread::spawn(move || variable.get()));
        assert_eq!(threads.map(|thread| thread.join().unwrap()), [Some(7); 2]);
        assert_eq!(COMPUTED.get(), 1);
    });
}

#[test]
fn a_root_that_knows_the_default_has_it() {
    model(|| {
        let variable = WithDefault::new(|| 7);
        let threads = [(); 2].map(|()| thread::spawn(move || variable.get()));
        match Map::EMPTY.look_up(variable.variable) {
            LookUp::Default(default) => assert_eq!(*default, 7),
            LookUp::Value(_) => panic!("the variable is not set"),
            LookUp::Unknown => (),
        }
        assert_eq!(threads.map(|thread| thread.join().unwrap()), [Some(7); 2]);
        assert!(matches!(Map::EMPTY.look_up(variable.variable), LookUp::Default(7)));
        assert!(matches!(Map::LOST.look_up(variable.variable), LookUp::Unknown));
    });
}

/// The default is computed while another thread makes the first write.
#[test]
fn a_value_below_the_root_is_not_taken_for_the_default() {
    model(|| {
        let mut variable = WithDefault::new(|| 7);
        // Such a variable is never in the root.
        variable.variable = Box::leak(Box::new(Variable::new("variable").inherit(false)));
        let sent = Arc::new(Mutex::new(None));
        let writer = thread::spawn({
            let sent = sent.clone();
            move || {
                let variable = variable.variable;
                let mut map = Map::EMPTY;
                drop(map.write(variable, Some(Value::new(variable, 8))));
                *sent.lock().unwrap() = Some(map);
            }
        });
        let reader = thread::spawn(move || variable.get());
        let received = sent.lock().unwrap().take();
        if let Some(map) = received {
            assert!(matches!(map.look_up(variable.variable), LookUp::Unknown));
            assert_eq!(map.get(variable.variable), Some(&8));
        }
        assert_eq!(reader.join().unwrap(), Some(7));
        writer.join().unwrap();
    });
}
