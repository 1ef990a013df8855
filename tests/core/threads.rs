//! The contexts of threads (rule 9).

use std::thread;

use contextvar::{Context, context_var};

use crate::support::{OnDrop, panic_text};

#[test]
fn each_thread_has_its_own_context() {
    #[context_var]
    static NUMBER: u64;

    NUMBER.set(1);
    thread::spawn(|| {
        assert!(!NUMBER.is_set());
        NUMBER.set(2);
        assert_eq!(NUMBER.get(), 2);
    })
    .join()
    .unwrap();
    assert_eq!(NUMBER.get(), 1);
}

#[test]
fn started_threads_run_in_a_copy() {
    #[context_var]
    static NUMBER: u64;

    NUMBER.set(1);
    let check = || {
        let before = NUMBER.get();
        NUMBER.set(10);
        before
    };
    assert_eq!(contextvar::thread::spawn(check).join().unwrap(), 1);
    let builder = contextvar::thread::Builder::new().name("named".to_owned()).stack_size(1 << 16);
    let thread = builder.spawn(move || (check(), thread::current().name().map(str::to_owned)));
    assert_eq!(thread.unwrap().join().unwrap(), (1, Some("named".to_owned())));
    let mut borrowed = 0;
    let nested = contextvar::thread::scope(|s| {
        NUMBER.set(2);
        let first = s.spawn(check);
        NUMBER.set(3);
        let builder = contextvar::thread::Builder::new();
        builder.spawn_scoped(s, || borrowed = check()).unwrap().join().unwrap();
        let nested = s.spawn(move || {
            NUMBER.set(4);
            s.spawn(check).join().unwrap()
        });
        assert_eq!(first.join().unwrap(), 2);
        nested.join().unwrap()
    });
    assert_eq!((borrowed, nested), (3, 4));
    assert_eq!(NUMBER.get(), 3);
}

/// A closure that never runs is dropped in its context.
#[test]
fn a_thread_that_cannot_start_drops_its_closure_in_the_copy() {
    #[context_var]
    static NUMBER: u64;

    NUMBER.set(1);
    let (seen, reports) = std::sync::mpsc::channel();
    let on_drop = OnDrop(move || seen.send(NUMBER.get_or(0)).unwrap());
    let mut elsewhere = Context::new();
    let name = String::from("a name with a \0 in it");
    let text = panic_text(|| {
        let closure = move || drop(on_drop);
        let builder = contextvar::thread::Builder::new().name(name);
        elsewhere.run(|| NUMBER.set(2));
        builder.spawn(closure)
    });
    assert!(text.contains("null"), "{text}");
    assert_eq!(reports.recv().unwrap(), 1);
}
