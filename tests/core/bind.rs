//! `Context::bind`: closures that run in a context.

use contextvar::{Context, context_var};

use crate::support::{Log, OnDrop, panic_text};

#[context_var]
static USER: String;

#[context_var]
static TENANT: u64 = 1;

#[test]
fn a_bound_closure_runs_and_drops_in_its_context() {
    let log = Log::default();
    let base = || Context::new().with_value(&USER, "ada".to_owned()).with_value(&TENANT, 7);
    let mut ctx = base();
    ctx.set(&USER, "grace".to_owned());
    let dropped = OnDrop({
        let log = log.clone();
        move || log.push(format!("dropped in {:?}'s", USER.try_get().ok()))
    });
    let bound = ctx.clone().bind(move || {
        let _dropped = dropped;
        USER.set("sets its own".to_owned());
        TENANT.get()
    });
    fn is_send<T: Send + 'static>(closure: T) -> T {
        closure
    }
    let seven = std::thread::spawn(is_send(ctx.bind(|| TENANT.get()))).join().unwrap();
    assert_eq!((seven, bound()), (7, 7));
    assert_eq!(log.take(), [r#"dropped in Some("sets its own")'s"#]);
    assert!(!USER.is_set());

    // A closure that is never called is dropped in the context.
    let dropped = OnDrop({
        let log = log.clone();
        move || log.push(format!("dropped in {:?}'s", USER.try_get().ok()))
    });
    drop(base().bind(move || drop(dropped)));
    assert_eq!(log.take(), [r#"dropped in Some("ada")'s"#]);

    // A panic restores the previous context.
    assert_eq!(panic_text(base().bind(|| panic!("as ever"))), "as ever");
    assert!(!USER.is_set());
}
