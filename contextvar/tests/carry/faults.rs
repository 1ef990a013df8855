//! Libraries that panic, and that call the work too often or never.

use super::*;

/// Hands work over with a value of this mode.
fn with_mode<R>(mode: Mode, f: impl FnOnce() -> R) -> R {
    let mode = library::MODE.replace(mode);
    let result = panic::catch_unwind(AssertUnwindSafe(|| with_values(f)));
    library::MODE.set(mode);
    A.set(0);
    B.set(0);
    result.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

#[test]
fn a_panic_in_a_capture_reaches_the_caller_and_the_work_never_runs() {
    set_up();
    let (report, reports) = self::report();
    let spawn = || with_mode(Mode::PanicInCapture, || thread::spawn(move || drop(report)));
    assert_eq!(panic_text(spawn), "in the capture");
    // Dropped by the caller.
    assert_eq!(reports.recv().unwrap(), (1, 2));
    assert!(ENTERED.with_borrow(Vec::is_empty));
}

#[test]
fn a_panic_in_a_function_of_a_library_propagates_and_leaves_all_values() {
    on_both_flavors(|| async {
        for (mode, text) in [(Mode::PanicBefore, "before the work"), (Mode::PanicAfter, "after the work")] {
            let (report, reports) = self::report();
            let task = with_mode(mode, || {
                task::spawn(async move {
                    let _report = report;
                    7
                })
            });
            let error = task.await.unwrap_err();
            assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), text);
            // The drop of work that cannot be entered is outside of the values.
            let outside = if mode == Mode::PanicBefore { (0, 0) } else { (1, 2) };
            assert_eq!(reports.recv().unwrap(), outside);
            assert!(
                tokio::spawn(async { seen() == (0, 0) && ENTERED.with_borrow(Vec::is_empty) }).await.unwrap()
            );
        }
        let (report, reports) = self::report();
        drop(with_mode(Mode::PanicBefore, || async move { drop(report) }.in_inherited_context()));
        assert_eq!(reports.recv().unwrap(), (0, 0), "the panic is discarded in a drop");
    });
}

#[test]
fn a_function_that_does_not_call_the_work_or_calls_it_twice() {
    on_both_flavors(|| async {
        for mode in [Mode::NeverCall, Mode::CallTwice] {
            let mut calls = 0;
            let call = with_mode(mode, || {
                task::spawn_blocking(move || {
                    calls += 1;
                    (calls, seen())
                })
            });
            assert_eq!(call.await.unwrap(), (1, (1, 2)), "{mode:?}");
            let task = with_mode(mode, || task::spawn(async { (yield_now().await, seen()).1 }));
            assert_eq!(task.await.unwrap(), (1, 2), "{mode:?}");
        }
    });
}

#[test]
fn a_function_cannot_swallow_a_panic_of_the_work() {
    on_both_flavors(|| async {
        let task = with_mode(Mode::SwallowPanics, || task::spawn(async { panic!("on purpose") }));
        let panicked: Result<(), _> = task.await;
        assert_eq!(*panicked.unwrap_err().into_panic().downcast::<&str>().unwrap(), "on purpose");
        assert!(tokio::spawn(async { ENTERED.with_borrow(Vec::is_empty) }).await.unwrap());
    });
}

#[test]
fn the_functions_of_a_library_can_use_this_crate() {
    on_both_flavors(|| async {
        let seen_by = Context::new().with_value(&USER, "ada").scope(async {
            let task = with_mode(Mode::UseThisCrate, || {
                task::spawn(async {
                    yield_now().await;
                    // Work that is handed over inside carries on.
                    (seen(), thread::spawn(seen).join().unwrap())
                })
            });
            task.await.unwrap()
        });
        assert_eq!(seen_by.await, ((1, 2), (1, 2)));
    });
}
