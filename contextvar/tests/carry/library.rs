//! Two libraries with an ambient value each, and one that does everything wrong.

use super::*;
use contextvar::carry::{Ambient, register};
use std::sync::Once;

thread_local! {
    /// Entered and left by a guard. 0 is not set.
    pub(crate) static A: Cell<u32> = const { Cell::new(0) };
    /// Entered by a function, which restores nothing after a panic.
    pub(crate) static B: Cell<u32> = const { Cell::new(0) };
    pub(crate) static MODE: Cell<Mode> = const { Cell::new(Mode::Absent) };
    /// What was entered and not left.
    pub(crate) static ENTERED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    /// What a value does when it is dropped.
    pub(crate) static STEPS: RefCell<Option<super::Log>> = const { RefCell::new(None) };
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    Absent,
    PanicInCapture,
    PanicBefore,
    PanicAfter,
    NeverCall,
    CallTwice,
    SwallowPanics,
    UseThisCrate,
}

struct GuardOfA(u32);

impl Drop for GuardOfA {
    fn drop(&mut self) {
        A.set(self.0);
        assert_eq!(ENTERED.with_borrow_mut(Vec::pop), Some("a"));
    }
}

/// Logs its drop.
struct Dropped(super::Log);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.push(&format!("value in {}", super::USER.get_or("no context")));
        if self.0.contains("panic") {
            panic!("in the drop of a value");
        }
    }
}

pub(crate) fn set_up() {
    static REGISTERED: Once = Once::new();

    let set = |cell: &Cell<u32>| (cell.get() != 0).then(|| cell.get());
    REGISTERED.call_once(|| {
        register(Ambient::guarded(
            move || A.with(set),
            |a| {
                ENTERED.with_borrow_mut(|entered| entered.push("a"));
                GuardOfA(A.replace(*a))
            },
        ));
        register(Ambient::scoped(
            move || B.with(set),
            |b, work| {
                ENTERED.with_borrow_mut(|entered| entered.push("b"));
                let outer = B.replace(*b);
                work();
                B.set(outer);
                assert_eq!(ENTERED.with_borrow_mut(Vec::pop), Some("b"));
            },
        ));
        register(Ambient::scoped(capture_mode, run_mode));
        register(Ambient::guarded(|| STEPS.with_borrow(|steps| steps.clone().map(Dropped)), |_| ()));
    });
}

fn capture_mode() -> Option<Mode> {
    match MODE.get() {
        Mode::Absent => None,
        Mode::PanicInCapture => panic!("in the capture"),
        mode => {
            if mode == Mode::UseThisCrate {
                use_this_crate();
            }
            Some(mode)
        }
    }
}

fn run_mode(mode: &Mode, work: &mut dyn FnMut()) {
    match mode {
        Mode::PanicBefore => panic!("before the work"),
        Mode::PanicAfter => {
            work();
            panic!("after the work");
        }
        Mode::NeverCall => {}
        Mode::CallTwice => {
            work();
            work();
        }
        Mode::SwallowPanics => drop(panic::catch_unwind(AssertUnwindSafe(work))),
        Mode::UseThisCrate => {
            use_this_crate();
            work();
            use_this_crate();
        }
        Mode::Absent | Mode::PanicInCapture => unreachable!(),
    }
}

/// Runs work of its own, which must not call this function again.
fn use_this_crate() {
    register(Ambient::guarded(|| None::<()>, |()| ()));
    let mode = MODE.replace(Mode::UseThisCrate);
    assert_eq!(thread::spawn(|| (super::USER.get_or("none"), A.get())).join().unwrap(), ("ada", 0));
    let inherited = async { copy_context().len() }.in_inherited_context();
    assert_eq!(futures::executor::block_on(inherited), 1);
    MODE.set(mode);
}
