//! Contexts at the exit of a thread (rule 11).

use std::cell::RefCell;
use std::thread;

use contextvar::{Context, LookupErrorKind, ResetErrorKind, WriteErrorKind, context_var, copy_context};

use crate::support::{Log, OnDrop};

type Held = OnDrop<Box<dyn FnMut() + Send + Sync>>;

#[context_var]
static NUMBER: u64 = 7;

#[context_var]
static HELD: Held;

fn note(log: &Log, line: &'static str) -> Held {
    let log = log.clone();
    OnDrop(Box::new(move || log.push(line)))
}

#[test]
fn thread_values_are_dropped_at_exit() {
    let log = Log::default();
    let inner = log.clone();
    thread::spawn(move || {
        HELD.set(note(&inner, "first"));
        HELD.set(note(&inner, "second"));
        assert_eq!(inner.take(), ["first"]);
    })
    .join()
    .unwrap();
    assert_eq!(log.take(), ["second"]);
}

/// Asserts what a destructor finds when the thread's context is gone.
fn report_after_exit(log: &Log) {
    assert!(!NUMBER.is_set());
    assert_eq!(NUMBER.get(), 7);
    assert_eq!(HELD.try_with(|_| ()).unwrap_err().kind(), LookupErrorKind::ThreadExit);
    assert!(copy_context().is_empty());
    let error = NUMBER.try_set(1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "context variable `NUMBER` cannot be set: this thread is exiting and its context is gone; set it \
         inside `Context::run`"
    );
    assert_eq!(error.kind(), WriteErrorKind::ThreadExit);
    // Another context works as usual.
    let mut ctx = Context::new();
    let token = ctx.run(|| NUMBER.set(2));
    ctx.run(|| {
        HELD.set(note(log, "dropped in a run"));
        assert_eq!(NUMBER.get(), 2);
    });
    let error = NUMBER.try_reset(token).unwrap_err();
    assert_eq!(error.kind(), ResetErrorKind::DifferentContext);
    ctx.run(|| NUMBER.reset(error.into_token()));
    drop(ctx);
    log.push("reported");
}

#[test]
fn destructors_of_other_thread_locals_find_nothing_set() {
    thread_local! {
        static FIRST: RefCell<Option<Held>> = const { RefCell::new(None) };
    }

    let log = Log::default();
    let inner = log.clone();
    thread::spawn(move || {
        // Registered before the context's destructor, so it runs after it.
        let in_destructor = inner.clone();
        FIRST.set(Some(OnDrop(Box::new(move || report_after_exit(&in_destructor)))));
        NUMBER.set(1);
        HELD.set(note(&inner, "dropped at exit"));
    })
    .join()
    .unwrap();
    let mut lines = log.take();
    if lines[0] != "dropped at exit" {
        // Some systems run destructors in the order of their registration.
        lines.rotate_left(2);
    }
    assert_eq!(lines, ["dropped at exit", "dropped in a run", "reported"]);
}

#[test]
fn values_dropped_at_exit_find_nothing_set() {
    let log = Log::default();
    let inner = log.clone();
    thread::spawn(move || {
        NUMBER.set(1);
        let in_drop = inner.clone();
        HELD.set(OnDrop(Box::new(move || report_after_exit(&in_drop))));
    })
    .join()
    .unwrap();
    assert_eq!(log.take(), ["dropped in a run", "reported"]);
}

#[test]
fn a_first_write_in_a_destructor_is_dropped() {
    thread_local! {
        static LAST: RefCell<Option<Held>> = const { RefCell::new(None) };
    }

    let log = Log::default();
    let inner = log.clone();
    thread::spawn(move || {
        let in_destructor = inner.clone();
        LAST.set(Some(OnDrop(Box::new(move || {
            // The thread has written nothing before, so its context is not yet gone.
            HELD.set(note(&in_destructor, "dropped"));
            in_destructor.push("set");
        }))));
    })
    .join()
    .unwrap();
    assert_eq!(log.take(), ["set", "dropped"]);
}

#[test]
fn a_thread_that_panics_drops_its_values() {
    let log = Log::default();
    let inner = log.clone();
    let result = thread::spawn(move || {
        HELD.set(note(&inner, "dropped"));
        panic!("on purpose");
    })
    .join();
    assert!(result.is_err());
    assert_eq!(log.take(), ["dropped"]);
}

#[test]
fn a_token_can_outlive_its_thread() {
    let token = thread::spawn(|| {
        NUMBER.set(1);
        NUMBER.set(2)
    })
    .join()
    .unwrap();
    assert_eq!(token.old_value(), Some(&1));
    assert_eq!(NUMBER.try_reset(token).unwrap_err().kind(), ResetErrorKind::DifferentContext);
}

/// `process::exit` runs the calling thread's destructors while that thread's stack is still in use, possibly
/// by other threads.
#[test]
#[cfg_attr(miri, ignore = "it starts processes")]
fn a_value_being_read_survives_process_exit() {
    const WHICH: &str = "CONTEXTVAR_TEST_EXIT_IN";

    struct Read;

    impl Drop for Read {
        fn drop(&mut self) {
            eprintln!("dropped while it is being read");
            std::process::abort();
        }
    }

    #[context_var]
    static READ: Read;
    #[context_var]
    static OTHER: String;
    #[context_var]
    static DEFAULT: String = "default".to_owned();

    fn exit() {
        std::process::exit(7)
    }

    let Ok(which) = std::env::var(WHICH) else {
        for which in ["itself", "another context", "a task without one", "a default"] {
            let name = "thread_exit::a_value_being_read_survives_process_exit";
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            let child = child.args([name, "--exact", "--nocapture"]).env(WHICH, which);
            // Memory in use at the exit is not a leak.
            let child = child.env("ASAN_OPTIONS", "detect_leaks=0").output().unwrap();
            let stderr = String::from_utf8_lossy(&child.stderr);
            assert_eq!(child.status.code(), Some(7), "exit in {which}: {stderr}");
        }
        return;
    };
    READ.set(Read);
    READ.with(|_| match &*which {
        "itself" => exit(),
        "another context" => Context::new().with_value(&OTHER, "x".to_owned()).run(|| OTHER.with(|_| exit())),
        "a default" => DEFAULT.with(|_| exit()),
        _ => {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async { tokio::spawn(async { DEFAULT.with(|_| exit()) }).await.unwrap() });
        }
    });
    unreachable!("the process has exited");
}
