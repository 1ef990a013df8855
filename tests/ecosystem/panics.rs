//! The messages of panics.

// Recipe

fn set_hooks() {
    std::panic::set_hook(Box::new(|info| eprintln!("shop: {info}"))); // or none of your own
    contextvar::set_panic_hook();
}

// Test

use std::panic;

use contextvar::{task, thread};

use crate::support::{context, in_own_process};

/// Panics in a task, a call and a thread of two requests that are open at the same time, one after another.
fn panic_in_two_requests() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut contexts = [context(1), context(2)];
        for (n, context) in (1..).zip(&mut contexts) {
            let (task, call) = context.run(|| {
                let task = task::spawn(async move {
                    tokio::task::yield_now().await;
                    panic!("{n} task")
                });
                (task, move || task::spawn_blocking(move || panic!("{n} call")))
            });
            task.await.unwrap_err();
            context.run(call).await.unwrap_err();
            context.run(|| thread::spawn(move || panic!("{n} thread"))).join().unwrap_err();
        }
    });
    panic::catch_unwind(|| panic!("0 outside")).unwrap_err();
}

/// Checks that the line below each message has the variables of the code that panicked.
fn assert_variables(stderr: &[u8]) {
    let text = std::str::from_utf8(stderr).unwrap();
    let lines: Vec<_> = text.lines().collect();
    for n in 1..=2 {
        for place in ["task", "call", "thread"] {
            let at = lines.iter().position(|line| *line == format!("{n} {place}")).expect(text);
            let (_, panicked_at) =
                lines[at - 1].trim_end_matches(':').split_once("panicked at ").expect(text);
            let variables = format!("request_id={n} tenant=\"tenant {n}\"");
            let expected = format!("context of the panic at {panicked_at}: {variables}");
            let next = lines[at + 1..].iter().find(|line| !line.starts_with("note: "));
            assert_eq!(next, Some(&&*expected), "{text}");
        }
    }
    assert!(lines.contains(&"0 outside"), "{text}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("context ")).count(), 6, "{text}");
}

#[test]
fn the_default_message_has_the_variables() {
    let child = in_own_process("panics::the_default_message_has_the_variables", || {
        contextvar::set_panic_hook();
        panic_in_two_requests();
    });
    if let Some(child) = child {
        assert_variables(&child.stderr);
    }
}

#[test]
fn the_message_of_another_hook_has_the_variables() {
    let child = in_own_process("panics::the_message_of_another_hook_has_the_variables", || {
        set_hooks();
        panic_in_two_requests();
    });
    if let Some(child) = child {
        assert_variables(&child.stderr);
        let text = String::from_utf8(child.stderr).unwrap();
        assert_eq!(text.lines().filter(|line| line.starts_with("shop: panicked at ")).count(), 7, "{text}");
    }
}
