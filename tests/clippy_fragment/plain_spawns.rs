//! Calls that the clippy.toml of guide/propagation.md must find, each marked `// found`, and calls that it
//! must not find. scripts/clippy-fragment checks both.

use contextvar::{Context, InContext, task, thread};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let _ = tokio::spawn(async {}).await; // found
    let _ = tokio::task::spawn(async {}).await; // found
    let _ = tokio::task::spawn_blocking(|| ()).await; // found
    let spawn = tokio::spawn::<std::future::Ready<()>>; // found
    let _ = spawn(std::future::ready(())).await;
    let local = tokio::task::LocalSet::new();
    let spawn_local = async { tokio::task::spawn_local(async {}).await }; // found
    let _ = local.run_until(spawn_local).await;
    let _ = std::thread::spawn(|| ()).join(); // found
    std::thread::scope(|s| s.spawn(|| ()).join()).unwrap(); // found
    let _ = std::thread::Builder::new().spawn(|| ()).unwrap().join(); // found

    let _ = task::spawn(async {}).await;
    let _ = task::spawn_in_empty_context(async {}).await;
    let _ = task::spawn_blocking(|| ()).await;
    let _ = Context::new().run(|| task::spawn(async {})).await;
    let spawn_local = async { task::spawn_local(async {}).await };
    let _ = local.run_until(spawn_local).await;
    let mut set = tokio::task::JoinSet::new();
    set.spawn(async {}.in_inherited_context());
    let _ = thread::spawn(|| ()).join();
    thread::scope(|s| s.spawn(|| ()).join()).unwrap();
    let _ = thread::Builder::new().spawn(|| ()).unwrap().join();
}
