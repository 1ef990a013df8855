//! The defaults of variables.

use std::cell::Cell;

use loom::thread;

use crate::storage::Variable;
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
