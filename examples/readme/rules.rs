use contextvar::{context_var, copy_context, task, with_copied_context};

#[context_var]
static USER: &str = "nobody";

async fn login() {
    USER.set("ada");
}

#[with_copied_context]
async fn run_as_root() -> &'static str {
    USER.set("root");
    USER.get()
}

#[tokio::main]
async fn main() {
    // An awaited function shares the caller's context.
    login().await;
    assert_eq!(USER.get(), "ada");

    // An annotated function runs in a copy, and its changes stay there.
    assert_eq!(run_as_root().await, "root");
    assert_eq!(USER.get(), "ada");

    // `task::spawn` gives its task a copy. A plain `tokio::spawn` gives it no context.
    assert_eq!(task::spawn(async { USER.get() }).await.unwrap(), "ada");
    assert_eq!(tokio::spawn(async { USER.get() }).await.unwrap(), "nobody");

    // The trap: `copy_context().run(|| login()).await` runs `login` here, because the call only makes a future.
    // `scope` runs the future in the copy.
    USER.set("eve");
    copy_context().scope(login()).await;
    assert_eq!(USER.get(), "eve");
}
