//! Five short programs: context variables in async code, a trap, and two ways to avoid it.
//!
//! ```console
//! $ cargo run --example seed_story
//! ```
//!
//! They are translations of Python programs that use `contextvars`, and print the same lines. A and B stand
//! for two UUIDs. Each program runs as a task on the multi-thread runtime, in its own empty context. The
//! output is then compared with the expected lines, and a difference is a panic.

use std::sync::Mutex;

use contextvar::{Context, context_var, copy_context, with_copied_context};
use uuid::Uuid;

#[context_var(name = "ctx")]
static CTX: Uuid = Uuid::new_v4();

#[tokio::main]
async fn main() {
    let mut story = Story { known: vec![CTX.get()] };

    let expected = "
        Current context value: A
        Nested context value: A
        Nested context2 value: A";
    story.run("1. A value is kept through nested awaits", kept_through_nested_awaits(), expected).await;

    let expected = "
        Current context value: A
        Nested context value: B
        Nested context2 value: B";
    story.run("2. A later sibling sees what a nested function sets", nested_set(), expected).await;

    let expected = "
        Initial context value: A
        Value in copied context: A
        Inside nested_context, before set: A
        Inside nested_context, after set: B
        Context value after copy.run(): A
        nested_context2 value: A";
    story.run("3. copy_context and run, synchronous", synchronous(), expected).await;

    let expected = "
        Current context value: A
        Original context value: A
        Copy context value: A
        Nested context value: B
        Context value after copy: B
        Nested context2 value: B";
    story.run("4. The trap: `run` makes the future, and its body runs outside", trap(), expected).await;

    let expected = "
        Current context value: A
        Original context value: A
        Copy context value: A
        Nested context value: B
        Context value after copy: A
        Nested context2 value: A";
    story.run("4. The same with #[with_copied_context]: no trap", no_trap(), expected).await;
    story.run("5. A task that runs in the copy", task_in_copy(), expected).await;

    println!("\nEach program printed the expected lines.");
}

// 1.

async fn kept_through_nested_awaits() {
    if !CTX.is_set() {
        CTX.set(Uuid::new_v4());
    }
    print("Current context value", CTX.get());
    nested_without_set().await;
    nested2().await;
}

async fn nested_without_set() {
    print("Nested context value", CTX.get());
}

async fn nested2() {
    print("Nested context2 value", CTX.get());
}

// 2.

async fn nested_set() {
    CTX.set(Uuid::new_v4());
    print("Current context value", CTX.get());
    nested().await;
    nested2().await;
}

async fn nested() {
    CTX.set(Uuid::new_v4());
    print("Nested context value", CTX.get());
}

// 3.

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

// 4.

async fn trap() {
    let mut copy = set_and_copy();
    // `run` has returned before the `.await` polls the future: its body runs in this task's own context.
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

// 4. with the attribute. Each call copies the current context, which in `run` is `copy`.

async fn no_trap() {
    let mut copy = set_and_copy();
    copy.run(annotated_nested).await;
    print("Context value after copy", CTX.get());
    copy.run(annotated_nested2).await;
}

#[with_copied_context]
async fn annotated_nested() {
    CTX.set(Uuid::new_v4());
    print("Nested context value", CTX.get());
}

#[with_copied_context]
async fn annotated_nested2() {
    print("Nested context2 value", CTX.get());
}

// 5. asyncio's `create_task(nested(), context=copy)`.

async fn task_in_copy() {
    let copy = set_and_copy();
    tokio::spawn(copy.scope(nested())).await.expect("`nested` panicked");
    print("Context value after copy", CTX.get());
    nested2().await;
}

// Running and checking a program.

/// The output of the current program. One program runs at a time.
static PRINTED: Mutex<Vec<(&str, Uuid)>> = Mutex::new(Vec::new());

fn print(label: &'static str, value: Uuid) {
    println!("{label}: {value}");
    PRINTED.lock().unwrap().push((label, value));
}

struct Story {
    /// The variable's default, and the values of earlier programs. No program should see any of them.
    known: Vec<Uuid>,
}

impl Story {
    /// Runs a program, and compares its output with `expected`.
    async fn run(&mut self, title: &str, program: impl Future<Output = ()> + Send + 'static, expected: &str) {
        println!("\n{title}");
        tokio::spawn(Context::new().scope(program)).await.expect("the program panicked");

        let mut own = Vec::new();
        let mut printed = Vec::new();
        for (label, value) in PRINTED.lock().unwrap().drain(..) {
            assert!(!self.known.contains(&value), "{title}: `{label}` is a value from outside");
            let nth = own.iter().position(|known| *known == value).unwrap_or(own.len());
            if nth == own.len() {
                own.push(value);
            }
            printed.push(format!("{label}: {}", ["A", "B", "C"][nth.min(2)]));
        }
        let expected: Vec<_> = expected.trim().lines().map(str::trim).collect();
        assert_eq!(printed, expected, "{title}");
        self.known.append(&mut own);
    }
}
