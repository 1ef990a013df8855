//! Stackful coroutines: several share a thread, and they can end in another order than the reverse of their
//! start.

use std::env;
use std::process::Command;
use std::thread;

use contextvar::{Context, context_var, for_each_log_field};
use generator::{Generator, Gn};

#[context_var(log)]
static TEXT: String;

fn with_text() -> Context {
    Context::new().with_value(&TEXT, "a value on the heap, long enough to see".to_owned())
}

/// Yields copies of the text inside `with`.
fn texts() -> Generator<'static, (), String> {
    Gn::new_scoped(|mut scope| {
        TEXT.with(|text| {
            for _ in 0..3 {
                scope.yield_(text.clone());
            }
        });
        generator::done!();
    })
}

/// Yields inside `run`, and once more after `run` has returned and the context has been dropped.
fn entered() -> Generator<'static, (), ()> {
    Gn::new_scoped(|mut scope| {
        let mut ctx = with_text();
        ctx.run(|| {
            scope.yield_(());
        });
        drop(ctx);
        scope.yield_(());
        generator::done!();
    })
}

fn two_runs_end_in_the_order_of_their_beginning() {
    let (mut first, mut second) = (entered(), entered());
    first.next();
    second.next();
    first.next();
}

fn two_withs_end_in_the_order_of_their_beginning() {
    with_text().run(|| {
        let (mut first, mut second) = (texts(), texts());
        first.next();
        second.next();
        while first.next().is_some() {}
    });
}

fn a_with_outlives_the_run_of_another_coroutine() {
    let mut entered = entered();
    entered.next();
    let mut texts = texts();
    texts.next();
    entered.next();
}

fn a_with_outlives_the_run_around_it() {
    let mut texts = texts();
    with_text().run(|| texts.next());
}

fn a_with_outlives_the_first_of_two_runs() {
    let (mut ctx, mut texts) = (with_text(), texts());
    ctx.run(|| texts.next());
    ctx.run(|| TEXT.set("another".to_owned()));
}

fn a_with_outlives_a_run_that_panics() {
    let mut texts = texts();
    let run = std::panic::AssertUnwindSafe(|| {
        with_text().run(|| {
            texts.next();
            std::panic::resume_unwind(Box::new("on purpose"));
        });
    });
    let _ = std::panic::catch_unwind(run);
}

fn a_with_outlives_a_scope() {
    let mut texts = texts();
    futures::executor::block_on(with_text().scope(async { texts.next() }));
}

fn a_list_of_log_fields_outlives_the_run_around_it() {
    let mut fields = Gn::new_scoped(|mut scope| {
        for_each_log_field(|_, value| {
            scope.yield_(value.to_string());
        });
        generator::done!();
    });
    with_text().run(|| fields.next());
}

#[cfg(tokio_unstable)]
mod with_hooks {
    use std::future::poll_fn;
    use std::panic::{self, AssertUnwindSafe};
    use std::task::Poll;

    use contextvar::runtime::InheritContext;
    use tokio::runtime::{Builder, Runtime};

    use super::{TEXT, entered, texts, with_text};

    fn runtime() -> Runtime {
        Builder::new_current_thread().inherit_context().build().unwrap()
    }

    pub(super) fn a_with_outlives_its_task() {
        runtime().block_on(async {
            let task = async {
                TEXT.set("a value on the heap, long enough to see".to_owned());
                let mut texts = texts();
                texts.next();
                texts
            };
            tokio::spawn(task).await.unwrap();
        });
    }

    pub(super) fn a_with_outlives_a_poll_of_its_task() {
        runtime().block_on(with_text().scope(async {
            let mut texts = texts();
            tokio::spawn(poll_fn(move |_| {
                texts.next();
                Poll::<()>::Pending
            }));
            tokio::task::yield_now().await;
        }));
    }

    pub(super) fn a_run_outlives_a_poll_of_its_task() {
        runtime().block_on(async {
            let mut entered = entered();
            tokio::spawn(poll_fn(move |_| {
                entered.next();
                Poll::<()>::Pending
            }));
            tokio::task::yield_now().await;
        });
    }

    /// A coroutine suspended in a `run` outside of the task ends that `run` inside the task.
    pub(super) fn a_run_ends_in_a_poll_of_a_task() {
        let runtime = runtime();
        let mut entered = entered();
        entered.next();
        runtime.block_on(async {
            let task = async move {
                TEXT.set("a text".to_owned());
                entered.next();
                TEXT.get()
            };
            assert_eq!(tokio::spawn(task).await.unwrap(), "a text");
        });
    }

    /// The hook after the poll is not called; the next read finds that the task's context is stale.
    pub(super) fn a_with_outlives_a_poll_that_a_panic_has_left() {
        struct PanicsWhenDropped;

        impl Drop for PanicsWhenDropped {
            fn drop(&mut self) {
                if !std::thread::panicking() {
                    panic::resume_unwind(Box::new("on purpose"));
                }
            }
        }

        struct Output;

        impl Drop for Output {
            fn drop(&mut self) {
                panic::resume_unwind(Box::new(PanicsWhenDropped));
            }
        }

        let runtime = runtime();
        let (sender, mut texts_of_task) = tokio::sync::oneshot::channel();
        let run = AssertUnwindSafe(|| {
            runtime.block_on(with_text().scope(async {
                drop(tokio::spawn(async {
                    let mut texts = texts();
                    texts.next();
                    let _ = sender.send(texts);
                    Output
                }));
                tokio::task::yield_now().await;
            }));
        });
        assert!(panic::catch_unwind(run).is_err());
        let _texts = texts_of_task.try_recv().unwrap();
        let _ = TEXT.try_with(String::len);
    }
}

const CASES: &[(&str, fn())] = &[
    ("two runs end in the order of their beginning", two_runs_end_in_the_order_of_their_beginning),
    ("two withs end in the order of their beginning", two_withs_end_in_the_order_of_their_beginning),
    ("a with outlives the run of another coroutine", a_with_outlives_the_run_of_another_coroutine),
    ("a with outlives the run around it", a_with_outlives_the_run_around_it),
    ("a with outlives the first of two runs", a_with_outlives_the_first_of_two_runs),
    ("a with outlives a run that panics", a_with_outlives_a_run_that_panics),
    ("a with outlives a scope", a_with_outlives_a_scope),
    ("a list of log fields outlives the run around it", a_list_of_log_fields_outlives_the_run_around_it),
    #[cfg(tokio_unstable)]
    ("a with outlives its task", with_hooks::a_with_outlives_its_task),
    #[cfg(tokio_unstable)]
    ("a with outlives a poll of its task", with_hooks::a_with_outlives_a_poll_of_its_task),
    #[cfg(tokio_unstable)]
    ("a run outlives a poll of its task", with_hooks::a_run_outlives_a_poll_of_its_task),
    #[cfg(tokio_unstable)]
    ("a run ends in a poll of a task", with_hooks::a_run_ends_in_a_poll_of_a_task),
    #[cfg(tokio_unstable)]
    (
        "a with outlives a poll that a panic has left",
        with_hooks::a_with_outlives_a_poll_that_a_panic_has_left,
    ),
];

/// Each case runs in its own process, which must abort before freed memory is read.
#[test]
fn coroutines_that_end_out_of_order_abort_the_process() {
    const CASE: &str = "CONTEXTVAR_TEST_COROUTINES";

    if let Ok(wanted) = env::var(CASE) {
        let (_, case) = CASES.iter().find(|(name, _)| *name == wanted).expect("a case of this name");
        case();
        return;
    }
    for (case, _) in CASES {
        let name = "coroutines::coroutines_that_end_out_of_order_abort_the_process";
        let mut child = Command::new(env::current_exe().unwrap());
        let child = child.args([name, "--exact", "--nocapture"]).env(CASE, case).output().unwrap();
        let stderr = String::from_utf8_lossy(&child.stderr);
        assert!(stderr.contains("by a coroutine with a stack of its own"), "{case}: {stderr}");
        assert_eq!(child.status.code(), None, "{case}: expected an abort");
    }
}

#[test]
fn coroutines_that_end_in_order_work() {
    let texts = with_text().run(|| texts().collect::<Vec<_>>());
    assert_eq!(texts.len(), 3);

    let mut entered = entered();
    entered.next();
    assert_eq!(self::texts().count(), 3);
    TEXT.set("another".to_owned());
    let mut texts = self::texts();
    assert_eq!(texts.next().unwrap(), "another");
    // A write during the suspended read leaves the value alive.
    TEXT.set("a third".to_owned());
    assert_eq!(texts.next().unwrap(), "another");
    assert_eq!(texts.count(), 1);
    entered.next();
    assert!(!TEXT.is_set());
}

/// The thread's context stays alive for the active read, since the coroutine's stack is never freed.
#[test]
fn a_coroutine_suspended_in_with_can_outlive_its_thread() {
    let text = thread::spawn(|| {
        TEXT.set("a text".to_owned());
        let mut texts = texts();
        let text = texts.next().unwrap();
        std::mem::forget(texts);
        text
    });
    assert_eq!(text.join().unwrap(), "a text");
}
