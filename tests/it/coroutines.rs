//! Stacks that share a thread without being nested.

use contextvar::{Context, context_var};

/// Coroutines with stacks of their own share a thread, but not the order in which things end.
#[test]
fn coroutines_that_end_in_another_order_abort_the_process() {
    const WHICH: &str = "CONTEXTVAR_TEST_COROUTINES";

    let Ok(which) = std::env::var(WHICH) else {
        for which in ["run", "with"] {
            let name = "coroutines::coroutines_that_end_in_another_order_abort_the_process";
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            let child = child.args([name, "--exact", "--nocapture"]).env(WHICH, which).output().unwrap();
            let stderr = String::from_utf8_lossy(&child.stderr);
            assert!(stderr.contains("by a coroutine with a stack of its own"), "{which}: {stderr}");
            assert_eq!(child.status.code(), None, "it aborts");
        }
        return;
    };
    #[context_var]
    static TEXT: String;

    let coroutine = |which: String| {
        let mut coroutine = generator::Gn::new_scoped(move |mut scope| {
            match &*which {
                "run" => Context::new().run(|| scope.yield_(())),
                _ => Context::new().with(&TEXT, "a text".to_owned()).run(|| TEXT.with(|_| scope.yield_(()))),
            };
        });
        coroutine.next();
        coroutine
    };
    let (mut first, mut second) = (coroutine(which.clone()), coroutine(which));
    first.next();
    second.next();
    unreachable!("the first to end was not the last to begin");
}
