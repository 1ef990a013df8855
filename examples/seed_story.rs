//! Five short programs: what a context variable does in async code, where the trap is, and the cure.
//!
//! They follow an article on Python's `ContextVar` and print the lines that the Python programs print. Each
//! runs as a task with a context of its own, on the multi-thread runtime, and what it printed is compared with
//! what it should have: A and B stand for two UUIDs.
//!
//! ```console
//! $ cargo run --example seed_story
//! ```

use std::sync::{Arc, Mutex};

use contextvar::{Context, context_var, copy_context, with_copied_context};
use uuid::Uuid;

#[context_var(name = "ctx")]
static CTX: Uuid = Uuid::new_v4();

/// What the program at hand has printed.
#[context_var]
static PRINTED: Arc<Mutex<Vec<(&'static str, Uuid)>>>;

#[tokio::main]
async fn main() {
    run(
        "1. Kept through nested awaits",
        kept_through_nested_awaits(),
        &["Current context value: A", "Nested context value: A", "Nested context2 value: A"],
    )
    .await;
    run(
        "2. A set in a nested function is seen by its later sibling",
        seen_by_a_later_sibling(),
        &["Current context value: A", "Nested context value: B", "Nested context2 value: B"],
    )
    .await;
    run(
        "3. copy_context and run, synchronous",
        synchronous(),
        &[
            "Initial context value: A",
            "Value in copied context: A",
            "Inside nested_context, before set: A",
            "Inside nested_context, after set: B",
            "Context value after copy.run(): A",
            "nested_context2 value: A",
        ],
    )
    .await;
    run(
        "4. The trap: run only makes the future",
        the_trap(),
        &[
            "Current context value: A",
            "Original context value: A",
            "Copy context value: A",
            "Nested context value: B",
            "Context value after copy: B",
            "Nested context2 value: B",
        ],
    )
    .await;
    run(
        "4. again, with annotated functions: no trap",
        no_trap(),
        &[
            "Current context value: A",
            "Original context value: A",
            "Copy context value: A",
            "Nested context value: B",
            "Context value after copy: A",
            "Nested context2 value: A",
        ],
    )
    .await;
    run(
        "5. The cure: a task that runs in the copy",
        the_cure(),
        &[
            "Current context value: A",
            "Original context value: A",
            "Copy context value: A",
            "Nested context value: B",
            "Context value after copy: A",
            "Nested context2 value: A",
        ],
    )
    .await;
    println!("\nAll of it is true.");
}

async fn nested() {
    CTX.set(Uuid::new_v4());
    print("Nested context value", CTX.get());
}

async fn nested2() {
    print("Nested context2 value", CTX.get());
}

// 1. ----------------------------------------------------------------------------------------------------------

async fn kept_through_nested_awaits() {
    set_if_not_set();
    print("Current context value", CTX.get());
    nested_without_set().await;
    nested2().await;
}

async fn nested_without_set() {
    print("Nested context value", CTX.get());
}

fn set_if_not_set() {
    if !CTX.is_set() {
        CTX.set(Uuid::new_v4());
    }
}

// 2. ----------------------------------------------------------------------------------------------------------

async fn seen_by_a_later_sibling() {
    set_if_not_set();
    print("Current context value", CTX.get());
    nested().await;
    nested2().await;
}

// 3. ----------------------------------------------------------------------------------------------------------

async fn synchronous() {
    CTX.set(Uuid::new_v4());
    print("Initial context value", CTX.get());
    let mut copy = copy_context();
    print("Value in copied context", copy[&CTX]);
    copy.run(nested_context);
    print("Context value after copy.run()", CTX.get());
    nested_context2();
}

fn nested_context() {
    print("Inside nested_context, before set", CTX.get());
    CTX.set(Uuid::new_v4());
    print("Inside nested_context, after set", CTX.get());
}

fn nested_context2() {
    print("nested_context2 value", CTX.get());
}

// 4. ----------------------------------------------------------------------------------------------------------

async fn the_trap() {
    let mut copy = set_and_copy();
    // The bodies run here, where they are awaited, in the context of this task.
    copy.run(nested).await;
    print("Context value after copy", CTX.get());
    copy.run(nested2).await;
}

/// The same functions, annotated, and the same caller.
async fn no_trap() {
    #[with_copied_context]
    async fn nested() {
        crate::nested().await;
    }

    #[with_copied_context]
    async fn nested2() {
        crate::nested2().await;
    }

    let mut copy = set_and_copy();
    copy.run(nested).await;
    print("Context value after copy", CTX.get());
    copy.run(nested2).await;
}

fn set_and_copy() -> Context {
    CTX.set(Uuid::new_v4());
    print("Current context value", CTX.get());
    let original = copy_context();
    let copy = copy_context();
    print("Original context value", original[&CTX]);
    print("Copy context value", copy[&CTX]);
    copy
}

// 5. ----------------------------------------------------------------------------------------------------------

async fn the_cure() {
    let copy = set_and_copy();
    tokio::spawn(copy.scope(nested())).await.expect("it does not panic");
    print("Context value after copy", CTX.get());
    nested2().await;
}

// The stage ---------------------------------------------------------------------------------------------------

fn print(what: &'static str, value: Uuid) {
    println!("{what}: {value}");
    PRINTED.with(|printed| printed.lock().unwrap().push((what, value)));
}

/// Runs a program as a task with a context of its own, and compares what it prints with `expected`.
async fn run(title: &str, program: impl Future<Output = ()> + Send + 'static, expected: &[&str]) {
    println!("\n{title}");
    let printed = Arc::new(Mutex::new(Vec::new()));
    let context = Context::new().with(&PRINTED, printed.clone());
    tokio::spawn(context.scope(program)).await.expect("the program panicked");

    let mut values = Vec::new();
    let mut lines = Vec::new();
    for &(what, value) in &*printed.lock().unwrap() {
        let place = values.iter().position(|&seen| seen == value).unwrap_or_else(|| {
            values.push(value);
            values.len() - 1
        });
        lines.push(format!("{what}: {}", ["A", "B", "C"][place.min(2)]));
    }
    assert_eq!(lines, expected, "{title}");
}
